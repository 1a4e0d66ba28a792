"""The files and objects of batches in OpenAI's dialect: https://platform.openai.com/docs/api-reference/batch

A file of purpose `batch` has one request in each line. The output file has one answer in each line, in any order.
"""

from typing import Any, TypeVar

import msgspec
from msgspec import Raw, Struct

from pointsman.domain.failures import Rejection
from pointsman.domain.outcomes import Usage
from pointsman.wire.json_object import UNREADABLE, encode_object, read_object, read_or, rejection
from pointsman.wire.usage import read_usage

PURPOSE = "batch"
MAX_LINE_BYTES = 8 * 1024 * 1024
MAX_METADATA = 16  # fields: https://platform.openai.com/docs/api-reference/batch/create
MARK = "pointsman_attempt"  # the field of `metadata` with the id of the attempt that requested a batch
IN_PROGRESS = frozenset({"validating", "in_progress", "finalizing", "cancelling"})
ENDED = frozenset({"completed", "expired", "cancelled", "failed"})
_PREFIX = "/v1"
T = TypeVar("T")


class BatchLine(Struct, frozen=True):
    """One request of a file. `path` is its URL below `/v1`, and `fields` are those of the line."""

    url: str
    path: str
    body: bytes
    fields: dict[str, Raw]


class _RawLine(Struct):
    custom_id: str
    method: str
    url: str
    body: Raw


class _Model(Struct, frozen=True):
    model: str = ""


class _Body(Struct, frozen=True):
    body: _Model = _Model()


_LINE = msgspec.json.Decoder(_RawLine)
_ONLY_MODEL = msgspec.json.Decoder(_Body)
_METADATA = msgspec.json.Decoder(dict[str, Raw] | None)


def model_in(line: bytes) -> str:
    """Return the model that a line requests; empty if it is not readable."""
    return read_or(_ONLY_MODEL, line, _Body()).body.model


def read_line(text: bytes) -> BatchLine:
    """Read one line. Raises `Rejection`."""
    fields = read_object(text)
    try:
        line = _LINE.decode(text)
    except msgspec.ValidationError as error:
        message = f"{str(error)[:200]}; a line has custom_id, method, url and body"
        raise rejection(message) from None
    if line.method != "POST":
        raise rejection("the field 'method' must be POST", "method")
    return BatchLine(line.url, line.url.removeprefix(_PREFIX), bytes(line.body), fields)


def write_line(line: BatchLine, body: bytes) -> bytes:
    """Return the line with another body, and its line end."""
    return encode_object({**line.fields, "body": Raw(body)}) + b"\n"


def at_line(number: int, error: Rejection) -> Rejection:
    """Return the rejection of a file for the line with this number, counted from 1."""
    failure = error.failure
    param = f"file[{number}]" + (f".{failure.param}" if failure.param else "")
    return Rejection(msgspec.structs.replace(failure, message=f"line {number}: {failure.message}", param=param))


def text_in(fields: dict[str, Raw], name: str) -> str:
    """Return the text of a field; empty if there is none."""
    return read_or(_TEXT, fields.get(name, Raw(b"")), "")


_TEXT = msgspec.json.Decoder(str)


def can_mark(fields: dict[str, Raw]) -> bool:
    """Return whether the metadata of a requested batch has room for the id of its attempt."""
    metadata = _metadata(fields)
    return metadata is not None and len(metadata.keys() - {MARK}) < MAX_METADATA


def marked(fields: dict[str, Raw], attempt_id: str | None) -> dict[str, Raw]:
    """Return the fields of a requested batch with the id of its attempt in their metadata, in place of any other one:
    the provider's list would show the batch as that of another attempt. `None` only removes it."""
    metadata = _metadata(fields)
    if metadata is None or (attempt_id is None and MARK not in metadata):
        return fields
    kept = {name: value for name, value in metadata.items() if name != MARK}
    added = {MARK: attempt_id} if attempt_id is not None else {}
    return {**fields, "metadata": Raw(encode_object({**kept, **added}))}


def _metadata(fields: dict[str, Raw]) -> dict[str, Raw] | None:
    """Return the metadata of a requested batch; `None` if they are not an object."""
    raw = fields.get("metadata", Raw(b"null"))
    found = read_or(_METADATA, raw, None)
    return {} if found is None and bytes(raw) == b"null" else found


class Counts(Struct, frozen=True):
    """The numbers of a batch's lines."""

    total: int
    completed: int
    failed: int


class BatchObject(Struct, frozen=True):
    """A batch as its provider reports it. `request_counts` and `usage`, the sum over its lines, are not reported by all
    providers."""

    id: str
    status: str
    output_file_id: str | None = None
    request_counts: Counts | None = None
    usage: Raw = Raw(b"")
    metadata: Any = None

    @property
    def has_ended(self) -> bool:
        return self.status in ENDED

    @property
    def mark(self) -> str | None:
        """The id of the attempt that requested it."""
        found = self.metadata.get(MARK) if isinstance(self.metadata, dict) else None
        return found if isinstance(found, str) else None

    def used(self) -> Usage | None:
        """Return the usage of all lines together, if it is reported."""
        found = read_usage(self.usage)
        return found if found is not None and found.tokens_in + found.tokens_out else None


class BatchPage(Struct, frozen=True):
    """A page of a list of batches, the newest first."""

    data: list[BatchObject]
    has_more: bool = False


class _AnswerBody(Struct):
    model: str = ""
    usage: Raw = Raw(b"")


class _Response(Struct):
    status_code: int
    body: Raw = Raw(b"")


class _RawOutput(Struct):
    response: _Response | None = None
    error: Raw = Raw(b"null")


_BATCH = msgspec.json.Decoder(BatchObject)
_PAGE = msgspec.json.Decoder(BatchPage)
_OUTPUT = msgspec.json.Decoder(_RawOutput)
_ANSWER = msgspec.json.Decoder(_AnswerBody)


def _read(decoder: "msgspec.json.Decoder[T]", body: bytes) -> T | None:
    try:
        return decoder.decode(body)
    except UNREADABLE:
        return None


def read_batch(body: bytes) -> BatchObject | None:
    """Read a batch; `None` if it is not readable."""
    return _read(_BATCH, body)


def read_page(body: bytes) -> BatchPage | None:
    """Read a page of batches; `None` if it is not readable."""
    return _read(_PAGE, body)


class OutputLine(Struct, frozen=True):
    """The answer to one request of a batch. `usage` is `None` if the line failed, or reports none."""

    model: str
    usage: Usage | None
    is_good: bool


def read_output(line: bytes) -> OutputLine | None:
    """Read a line of an output file; `None` if it is not readable."""
    try:
        found = _OUTPUT.decode(line)
        response = found.response
        if response is None:  # such as a line that the provider had no time for
            return OutputLine("", None, False) if bytes(found.error) != b"null" else None
        if not 200 <= response.status_code < 300:
            return OutputLine("", None, False)
        answer = _ANSWER.decode(response.body)
        return OutputLine(answer.model, read_usage(answer.usage), True)
    except UNREADABLE:
        return None


class LineCutter:
    """Cuts a text that arrives in pieces into its lines. Raises `ValueError` for a line over `MAX_LINE_BYTES`."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Return the lines that this piece completes, without their ends. Blank lines are left out."""
        rest = self._rest
        searched = len(rest)
        rest += data
        end = rest.rfind(b"\n", searched)
        if end < 0:
            if len(rest) > MAX_LINE_BYTES:
                raise ValueError(f"it is longer than {MAX_LINE_BYTES} bytes")
            return []
        whole = bytes(rest[:end])
        del rest[: end + 1]
        return [line for line in whole.split(b"\n") if line.strip()]

    def end(self) -> list[bytes]:
        """Return the last line, if it has no end."""
        whole, self._rest = bytes(self._rest), bytearray()
        return [whole] if whole.strip() else []
