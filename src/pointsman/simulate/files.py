"""`/v1/files`."""

from collections.abc import Callable

from pointsman.simulate.answers import Answer, Ask, Shelf, json_answer
from pointsman.simulate.media import read_form


class FileStore(Shelf):
    """The files of one provider, and the endpoints that serve them."""

    def upload(self, ask: Ask) -> Answer:
        form = read_form(ask)
        part = form.file("file")
        record = {
            "id": ask.new_id("file-"),
            "object": "file",
            "bytes": len(part.data),
            "created_at": ask.created,
            "filename": part.filename or "upload",
            "purpose": form.text("purpose"),
            "status": "processed",
        }
        return self.keep(ask, "file", record, part.data)

    def make(self, ask: Ask, data: bytes, purpose: str) -> str:
        """Store a file that the provider itself writes. Return its id."""
        name = ask.new_id("file-out-")
        record = {"id": name, "object": "file", "bytes": len(data), "filename": "output", "purpose": purpose}
        self.keep(ask, "file", record, data)
        return name

    def list(self, ask: Ask) -> Answer:
        return self.of(ask, "file")

    def endpoint(self, method: str, tail: str) -> Callable[[Ask], Answer] | None:
        """Return the endpoint for `method` on `/v1/files/` + `tail`."""
        name, _, rest = tail.partition("/")
        match method, rest:
            case "GET", "":
                return lambda ask: json_answer(self.find(ask, "file", name).record)
            case "GET", "content":
                content_type = "application/octet-stream"
                return lambda ask: Answer(content_type=content_type, body=self.find(ask, "file", name).data)
            case "DELETE", "":
                return lambda ask: self.delete(ask, "file", name, "file")
            case _:
                return None
