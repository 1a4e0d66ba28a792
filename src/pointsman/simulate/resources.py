"""Other stored resources of an account: batches, threads, vector stores and the like, all handled alike.

They can be created, listed, read, changed and deleted, and each has a list of parts. As at real providers, another key
finds none of them. A new batch writes an output file, and a finished upload is a file.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from pointsman.simulate.answers import Answer, Ask, Kept, Shelf, json_answer, page
from pointsman.simulate.files import FileStore

# Path, prefix of ids, value of `object`.
KINDS: dict[str, tuple[str, str]] = {
    "assistants": ("asst_", "assistant"),
    "audio/voice_consents": ("cons_", "audio.voice_consent"),
    "audio/voices": ("voice_", "audio.voice"),
    "batches": ("batch_", "batch"),
    "containers": ("cntr_", "container"),
    "conversations": ("conv_", "conversation"),
    "evals": ("eval_", "eval"),
    "fine_tuning/jobs": ("ftjob-", "fine_tuning.job"),
    "threads": ("thread_", "thread"),
    "uploads": ("upload_", "upload"),
    "vector_stores": ("vs_", "vector_store"),
    "videos": ("video_", "video"),
    "videos/characters": ("char_", "character"),
}
_ECHOED = ("input_file_id", "training_file", "file_ids", "assistant_id", "tool_resources", "metadata", "name")


class ResourceStore(Shelf):
    """The resources of one provider, and the endpoints that serve them."""

    def __init__(self, files: FileStore) -> None:
        super().__init__()
        self._files = files

    def endpoint(self, method: str, tail: str) -> Callable[[Ask], Answer] | None:
        """Return the endpoint for `method` on `/v1/` + `tail`."""
        segments = tail.split("/")
        for count in (2, 1):
            kind, rest = "/".join(segments[:count]), segments[count:]
            if kind in KINDS:
                return self._endpoint(method, kind, rest)
        return None

    def _endpoint(self, method: str, kind: str, rest: list[str]) -> Callable[[Ask], Answer] | None:
        match method, rest:
            case "POST", []:
                return lambda ask: self._create(ask, kind)
            case "POST", ["runs"] if kind == "threads":
                return self._run
            case "POST", ["edits" | "extensions"] if kind == "videos":
                return lambda ask: self._create(ask, kind)
            case "GET", []:
                return lambda ask: self.of(ask, kind)
            case "GET" | "POST", [name]:
                return lambda ask: json_answer(self.find(ask, kind, name).record)
            case "DELETE", [name]:
                return lambda ask: self.delete(ask, kind, name, f"{KINDS[kind][1]}.deleted")
            case "POST", [name, "complete"]:
                return lambda ask: self._complete(ask, kind, name)
            case "POST", [name, "remix"]:
                return lambda ask: self._create(ask, kind, self.find(ask, kind, name))
            case "POST", [name, "cancel" | "pause" | "resume"]:
                return lambda ask: json_answer(self.find(ask, kind, name).record)
            case _, [name, *below]:
                return lambda ask: self._part(ask, kind, name, below)
            case _:
                return None

    def _create(self, ask: Ask, kind: str, of: Kept | None = None) -> Answer:
        prefix, object_ = KINDS[kind]
        record: dict[str, Any] = {"id": ask.new_id(prefix), "object": object_, "created_at": ask.created}
        for name in _ECHOED:
            if name in ask.fields:
                record[name] = msgspec.json.decode(ask.fields[name])
        if of is not None:
            record["remixed_from_video_id"] = of.record["id"]
        if kind == "batches":
            record |= {"status": "completed", "output_file_id": self._files.make(ask, b"{}\n", "batch_output")}
        return self.keep(ask, kind, record)

    def _run(self, ask: Ask) -> Answer:
        thread = {"id": ask.new_id("thread_"), "object": "thread", "created_at": ask.created}
        self.keep(ask, "threads", thread)
        return json_answer({"id": ask.new_id("run_"), "object": "thread.run", "thread_id": thread["id"]})

    def _complete(self, ask: Ask, kind: str, name: str) -> Answer:
        record = self.find(ask, kind, name).record
        file = self._files.make(ask, b"parts", "batch")
        return json_answer({**record, "status": "completed", "file": {"id": file, "object": "file"}})

    def _part(self, ask: Ask, kind: str, name: str, below: list[str]) -> Answer:
        """Answer a request for the parts of a resource that the key owns."""
        self.find(ask, kind, name)
        if ask.request.method == "GET" and len(below) % 2:
            return page(ask, [])
        return json_answer({"id": ask.new_id("part_"), "object": f"{KINDS[kind][1]}.part"})
