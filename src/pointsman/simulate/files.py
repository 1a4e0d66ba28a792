"""`/v1/files`."""

from collections.abc import Callable

from pointsman.simulate.answers import Answer, ObjectStore, RequestContext, json_answer
from pointsman.simulate.media import read_form


class FileStore(ObjectStore):
    """The files of one provider, and the endpoints that serve them."""

    def upload(self, context: RequestContext) -> Answer:
        form = read_form(context)
        part = form.file("file")
        record = {
            "id": context.new_id("file-"),
            "object": "file",
            "bytes": len(part.data),
            "created_at": context.created,
            "filename": part.filename or "upload",
            "purpose": form.text("purpose"),
            "status": "processed",
        }
        return self.store(context, "file", record, part.data)

    def make(self, context: RequestContext, data: bytes, purpose: str) -> str:
        """Store a file that the provider itself writes. Return its id."""
        name = context.new_id("file-out-")
        self.put(context, name, data, purpose)
        return name

    def put(self, context: RequestContext, name: str, data: bytes, purpose: str) -> None:
        """Store a file under this id."""
        record = {"id": name, "object": "file", "bytes": len(data), "filename": "output", "purpose": purpose}
        self.store(context, "file", record, data)

    def list(self, context: RequestContext) -> Answer:
        return self.list_owned(context, "file")

    def endpoint(self, method: str, tail: str) -> Callable[[RequestContext], Answer] | None:
        """Return the endpoint for `method` on `/v1/files/` + `tail`."""
        name, _, rest = tail.partition("/")
        match method, rest:
            case "GET", "":
                return lambda context: json_answer(self.find(context, "file", name).record)
            case "GET", "content":
                content_type = "application/octet-stream"
                return lambda context: Answer(content_type=content_type, body=self.find(context, "file", name).data)
            case "DELETE", "":
                return lambda context: self.delete(context, "file", name, "file")
            case _:
                return None
