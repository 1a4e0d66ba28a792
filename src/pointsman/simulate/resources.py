"""Other stored resources of an account, such as threads and vector stores. One class serves all of them.

Resources can be created, listed, read, changed and deleted, and each has a list of parts. As at real providers, a key
finds only its own resources. A completed upload is a file.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from pointsman.simulate.answers import Answer, ObjectStore, RequestContext, StoredObject, json_answer, page
from pointsman.simulate.files import FileStore

# Path, prefix of ids, value of `object`.
KINDS: dict[str, tuple[str, str]] = {
    "assistants": ("asst_", "assistant"),
    "audio/voice_consents": ("cons_", "audio.voice_consent"),
    "audio/voices": ("voice_", "audio.voice"),
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


class ResourceStore(ObjectStore):
    """The resources of one provider, and the endpoints that serve them."""

    def __init__(self, files: FileStore) -> None:
        super().__init__()
        self._files = files

    def endpoint(self, method: str, tail: str) -> Callable[[RequestContext], Answer] | None:
        """Return the endpoint for `method` on `/v1/` + `tail`."""
        segments = tail.split("/")
        for count in (2, 1):
            kind, rest = "/".join(segments[:count]), segments[count:]
            if kind in KINDS:
                return self._endpoint(method, kind, rest)
        return None

    def _endpoint(self, method: str, kind: str, rest: list[str]) -> Callable[[RequestContext], Answer] | None:
        match method, rest:
            case "POST", []:
                return lambda context: self._create(context, kind)
            case "POST", ["runs"] if kind == "threads":
                return self._run
            case "POST", ["edits" | "extensions"] if kind == "videos":
                return lambda context: self._create(context, kind)
            case "GET", []:
                return lambda context: self.list_owned(context, kind)
            case "GET" | "POST", [name]:
                return lambda context: json_answer(self.find(context, kind, name).record)
            case "DELETE", [name]:
                return lambda context: self.delete(context, kind, name, f"{KINDS[kind][1]}.deleted")
            case "POST", [name, "complete"]:
                return lambda context: self._complete(context, kind, name)
            case "POST", [name, "remix"]:
                return lambda context: self._create(context, kind, self.find(context, kind, name))
            case "POST", [name, "cancel" | "pause" | "resume"]:
                return lambda context: json_answer(self.find(context, kind, name).record)
            case _, [name, *below]:
                return lambda context: self._part(context, kind, name, below)
            case _:
                return None

    def _create(self, context: RequestContext, kind: str, source: StoredObject | None = None) -> Answer:
        prefix, object_ = KINDS[kind]
        record: dict[str, Any] = {"id": context.new_id(prefix), "object": object_, "created_at": context.created}
        for name in _ECHOED:
            if name in context.fields:
                record[name] = msgspec.json.decode(context.fields[name])
        if source is not None:
            record["remixed_from_video_id"] = source.record["id"]
        return self.store(context, kind, record)

    def _run(self, context: RequestContext) -> Answer:
        thread = {"id": context.new_id("thread_"), "object": "thread", "created_at": context.created}
        self.store(context, "threads", thread)
        return json_answer({"id": context.new_id("run_"), "object": "thread.run", "thread_id": thread["id"]})

    def _complete(self, context: RequestContext, kind: str, name: str) -> Answer:
        record = self.find(context, kind, name).record
        file = self._files.make(context, b"parts", "batch")
        return json_answer({**record, "status": "completed", "file": {"id": file, "object": "file"}})

    def _part(self, context: RequestContext, kind: str, name: str, below: list[str]) -> Answer:
        """Answer a request for the parts of a resource that the key owns."""
        self.find(context, kind, name)
        if context.request.method == "GET" and len(below) % 2:
            return page(context, [])
        return json_answer({"id": context.new_id("part_"), "object": f"{KINDS[kind][1]}.part"})
