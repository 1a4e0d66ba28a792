"""`/v1/batches`: the requests in a file, carried out as time passes, at a price of their own.

https://platform.openai.com/docs/api-reference/batch
"""

import time
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from pointsman.simulate.answers import Answer, ObjectStore, Rejected, RequestContext, error, json_answer
from pointsman.simulate.files import FileStore

Endpoint = Callable[[RequestContext], Answer]
_ENDED = ("completed", "failed", "expired", "cancelled")
_ENDPOINTS = ("/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses", "/v1/moderations")


class ExecutedLine(Struct, frozen=True):
    """A line that was carried out, for the bill."""

    key: str
    path: str
    model: str
    answer: Answer


class _Line(Struct):
    custom_id: str
    method: str
    url: str
    body: dict[str, Raw]


class _Work(Struct):
    """A batch in progress. `done` counts its lines so far."""

    context: RequestContext
    lines: list[_Line]
    began_at: float
    done: int = 0
    good: list[bytes] = []
    bad: list[bytes] = []
    usage: dict[str, int] = {}


class BatchStore(ObjectStore):
    """The batches of one provider. `find` returns the endpoint of a line. `executed` are lines that are not on the bill
    yet."""

    def __init__(self, files: FileStore, find: Callable[[str, str], Endpoint]) -> None:
        super().__init__()
        self._files = files
        self._find = find
        self._work: dict[str, _Work] = {}
        self.executed: list[ExecutedLine] = []

    def clear(self) -> None:
        super().clear()
        self._work.clear()

    def endpoint(self, method: str, tail: str) -> Endpoint | None:
        """Return the endpoint for `method` on `/v1/batches` + `tail`."""
        name, _, rest = tail.removeprefix("/").partition("/")
        match method, name, rest:
            case "POST", "", "":
                return self._create
            case "GET", "", "":
                return self._list
            case "GET", _, "":
                return lambda context: json_answer(self._advanced(context, name))
            case "POST", _, "cancel":
                return lambda context: json_answer(self._cancel(context, name))
            case _:
                return None

    def _create(self, context: RequestContext) -> Answer:
        fields = {name: msgspec.json.decode(value) for name, value in context.fields.items()}
        if "input_file_id" not in fields:
            return self._empty(context, fields.get("metadata"))
        endpoint = fields.get("endpoint")
        if endpoint not in _ENDPOINTS:
            raise Rejected(error(400, f"Invalid value: {endpoint!r}.", param="endpoint"))
        file = self._files.find(context, "file", str(fields.get("input_file_id", "")))
        record: dict[str, Any] = {
            "id": context.new_id("batch_"),
            "object": "batch",
            "endpoint": endpoint,
            "errors": None,
            "input_file_id": file.record["id"],
            "completion_window": fields.get("completion_window", "24h"),
            "status": "validating",
            "output_file_id": None,
            "error_file_id": None,
            "created_at": context.created,
            "request_counts": {"total": 0, "completed": 0, "failed": 0},
            "metadata": fields.get("metadata"),
        }
        try:
            lines = [msgspec.json.decode(line, type=_Line) for line in file.data.splitlines() if line.strip()]
            if not lines or any(line.url != endpoint or line.method != "POST" for line in lines):
                raise msgspec.ValidationError("the file is empty, or a line is for another endpoint")
        except msgspec.MsgspecError as problem:
            record |= {"status": "failed", "errors": {"object": "list", "data": [{"message": str(problem)}]}}
        else:
            record["request_counts"]["total"] = len(lines)
            self._work[record["id"]] = _Work(context, lines, time.monotonic(), good=[], bad=[], usage={})
        return self.store(context, "batches", record)

    def _empty(self, context: RequestContext, metadata: Any) -> Answer:
        """Store a batch without a file, which has ended at once, for tests of stored objects."""
        output = self._files.make(context, b"{}\n", "batch_output")
        record = {"id": context.new_id("batch_"), "object": "batch", "created_at": context.created}
        record |= {"status": "completed", "output_file_id": output, "metadata": metadata}
        return self.store(context, "batches", record)

    def _list(self, context: RequestContext) -> Answer:
        for name, stored in list(self._objects.items()):
            if stored.key == context.key:
                self._advanced(context, name)
        return self.list_owned(context, "batches")

    def _cancel(self, context: RequestContext, name: str) -> dict[str, Any]:
        record = self._advanced(context, name)
        if record["status"] not in _ENDED:
            self._end(context, record, "cancelled")
        return record

    def _advanced(self, context: RequestContext, name: str) -> dict[str, Any]:
        """Return a batch after carrying out the lines that are due by now."""
        record, work, settings = self.find(context, "batches", name).record, self._work.get(name), context.settings
        if work is None:
            return record
        elapsed, total = time.monotonic() - work.began_at, len(work.lines)
        share = min(1.0, elapsed / settings.batch_s) if settings.batch_s else 1.0
        for line in work.lines[work.done : int(total * share)]:
            self._execute(work, line)
        record["status"] = "in_progress"
        record["request_counts"] = {"total": total, "completed": len(work.good), "failed": len(work.bad)}
        if work.done == total:
            self._end(context, record, "completed")
        elif settings.batch_window_s is not None and elapsed >= settings.batch_window_s:
            self._end(context, record, "expired")
        return record

    def _execute(self, work: _Work, line: _Line) -> None:
        context, work.done = work.context, work.done + 1
        request = replace(context.request, target=line.url, body=msgspec.json.encode(line.body))
        index = context.index * 1_000_000 + work.done
        inner = replace(context, request=request, fields=line.body, index=index)
        if context.rng.random() < context.settings.batch_failed_share:
            answer = error(500, "The server had an error.", "server_error")
        else:
            try:
                answer = self._find("POST", line.url)(inner)
            except Rejected as rejected:
                answer = rejected.answer
        response = {"status_code": answer.status, "request_id": inner.new_id("req_"), "body": Raw(answer.body)}
        output = {"id": inner.new_id("batch_req_"), "custom_id": line.custom_id, "response": response, "error": None}
        (work.good if answer.status < 400 else work.bad).append(msgspec.json.encode(output))
        if answer.status < 400:
            model = msgspec.json.decode(line.body.get("model", Raw(b'""')), type=str)
            self.executed.append(ExecutedLine(context.key, line.url, model, answer))
            for name, tokens in (("input_tokens", answer.tokens_in), ("output_tokens", answer.tokens_out)):
                work.usage[name] = work.usage.get(name, 0) + tokens

    def _end(self, context: RequestContext, record: dict[str, Any], status: str) -> None:
        work = self._work.pop(record["id"])
        record["status"] = status
        record["request_counts"] = {
            "total": len(work.lines),
            "completed": len(work.good),
            "failed": len(work.bad),
        }
        if context.settings.batch_usage:
            record["usage"] = {**work.usage, "total_tokens": sum(work.usage.values())}
        number = record["id"].removeprefix("batch_")
        for field, lines in (("output_file_id", work.good), ("error_file_id", work.bad)):
            if lines:
                data = b"\n".join(lines) + b"\n"
                name = f"file-{field.partition('_')[0]}-{number}"
                self._files.put(context, name, data, "batch_output")
                record[field] = name
