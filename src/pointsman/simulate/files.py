"""`/v1/files`. As at real providers, files belong to an API key, and another key does not find them."""

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from pointsman.simulate.answers import Answer, Ask, Rejected, error, json_answer, page
from pointsman.simulate.media import read_form


class StoredFile(Struct):
    """A file and the key it belongs to. `record` is its description in the API."""

    key: str
    record: dict[str, Any]
    data: bytes


class FileStore:
    """The files of one provider, and the endpoints that serve them."""

    def __init__(self) -> None:
        self._files: dict[str, StoredFile] = {}

    def clear(self) -> None:
        """Delete all files."""
        self._files.clear()

    def upload(self, ask: Ask) -> Answer:
        form = read_form(ask)
        part = form.file("file")
        name = ask.new_id("file-")
        record = {
            "id": name,
            "object": "file",
            "bytes": len(part.data),
            "created_at": ask.created,
            "filename": part.filename or "upload",
            "purpose": form.text("purpose"),
            "status": "processed",
        }
        self._files[name] = StoredFile(ask.key, record, part.data)
        return json_answer(record)

    def make(self, ask: Ask, data: bytes, purpose: str) -> str:
        """Store a file that the provider itself writes. Return its id."""
        name = ask.new_id("file-out-")
        record = {"id": name, "object": "file", "bytes": len(data), "filename": "output", "purpose": purpose}
        self._files[name] = StoredFile(ask.key, record, data)
        return name

    def list(self, ask: Ask) -> Answer:
        return page(ask, [file.record for file in self._files.values() if file.key == ask.key])

    def endpoint(self, method: str, tail: str) -> Callable[[Ask], Answer] | None:
        """Return the endpoint for `method` on `/v1/files/` + `tail`."""
        name, _, rest = tail.partition("/")
        match method, rest:
            case "GET", "":
                return lambda ask: json_answer(self._own(ask, name).record)
            case "GET", "content":
                return lambda ask: Answer(content_type="application/octet-stream", body=self._own(ask, name).data)
            case "DELETE", "":
                return lambda ask: self._delete(ask, name)
            case _:
                return None

    def _delete(self, ask: Ask, name: str) -> Answer:
        self._own(ask, name)
        del self._files[name]
        return json_answer({"id": name, "object": "file", "deleted": True})

    def _own(self, ask: Ask, name: str) -> StoredFile:
        file = self._files.get(name)
        if file is None or file.key != ask.key:
            raise Rejected(error(404, f"No such File object: {name}", param="id"))
        return file
