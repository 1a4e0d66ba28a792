"""Read Cohere's answers, streamed and whole.

https://docs.cohere.com/docs/streaming, https://docs.cohere.com/docs/tool-use-streaming,
https://docs.cohere.com/reference/chat-stream

A plan (`tool_plan`) is the text beside calls of tools, and is read as text. A citation of a document that the client
sent with an address becomes one of a web page; others have no form in most dialects. An answer whose generation failed
ends with `ERROR` or `TIMEOUT`. Log probabilities are those of chunks of text, which may be several tokens.
"""

from collections.abc import Iterator, Sequence
from typing import TypeVar

import msgspec
from msgspec import Raw, Struct

from pointsman.domain.pieces import (
    CitationPiece,
    Done,
    Failed,
    Finish,
    FinishReason,
    Piece,
    ReasoningPiece,
    Start,
    TextPiece,
    ToolArguments,
    ToolBegin,
    UsagePiece,
)
from pointsman.wire.json_object import encode_object, is_empty, read_leniently, read_or
from pointsman.wire.upstreams.cohere.usage import read_usage

T = TypeVar("T")
NAME = "cohere"
REASONS: dict[str, FinishReason] = {
    "COMPLETE": "stop",
    "STOP_SEQUENCE": "stop_sequence",
    "MAX_TOKENS": "length",
    "TOOL_CALL": "tool_calls",
    "ERROR_TOXIC": "content_filter",
}
FAULTS = frozenset({"ERROR", "TIMEOUT", "ERROR_LIMIT", "USER_CANCEL"})  # the generation failed
_NO_VALUE = Raw(b"")
_END = b"[DONE]"


class _Function(Struct, gc=False):
    name: str | None = None
    arguments: str | None = None


class _Call(Struct, gc=False):
    id: str | None = None
    function: _Function | None = None


class _Block(Struct, gc=False):
    text: str | None = None
    thinking: str | None = None


class _Citation(Struct, gc=False):
    start: int = 0
    end: int = 0
    sources: Raw = _NO_VALUE
    type: str = "TEXT_CONTENT"


class _Page(Struct, gc=False):
    url: str = ""
    title: str = ""


class _Source(Struct, gc=False):
    document: _Page | None = None


class _Message(Struct, gc=False):
    """A message, or the part of one in an event. An event has one block, one call and one citation, a message lists."""

    content: Raw = _NO_VALUE
    tool_plan: str | None = None
    tool_calls: Raw = _NO_VALUE
    citations: Raw = _NO_VALUE


class _Delta(Struct, gc=False):
    message: _Message | None = None
    finish_reason: str | None = None
    usage: Raw = _NO_VALUE
    error: str | None = None


class _Event(Struct, gc=False):
    type: str = ""
    id: str | None = None
    index: int | None = None
    delta: _Delta | None = None
    logprobs: Raw = _NO_VALUE
    message: Raw = _NO_VALUE


class CohereAnswer(Struct, gc=False):
    """A whole answer. Without a `message` it is none."""

    id: str = ""
    message: _Message | None = None
    finish_reason: str | None = None
    usage: Raw = _NO_VALUE
    logprobs: Raw = _NO_VALUE


class _Logprob(Struct, gc=False):
    text: str | None = None
    logprobs: list[float] | None = None


_EVENT = msgspec.json.Decoder(_Event)
_ANSWER = msgspec.json.Decoder(CohereAnswer)
_BLOCKS = msgspec.json.Decoder(list[_Block] | _Block)
_CALLS = msgspec.json.Decoder(list[_Call] | _Call)
_CITATIONS = msgspec.json.Decoder(list[Raw])
_CITATION = msgspec.json.Decoder(_Citation)
_SOURCES = msgspec.json.Decoder(list[_Source])
_LOGPROBS = msgspec.json.Decoder(list[_Logprob] | _Logprob)


def decode_answer(body: bytes) -> CohereAnswer:
    """Return a whole answer. Raises one of `json_object.UNREADABLE`."""
    return read_leniently(_ANSWER, body)


class CohereReader:
    """Reads one streamed answer."""

    def __init__(self) -> None:
        self._calls: dict[int, int] = {}  # the number of a call by the index of its events
        self._has_arguments = False
        self._planned = 0  # characters of the plan, which comes before the text

    def read(self, data: bytes, event: bytes) -> Sequence[Piece]:  # noqa: ARG002 -- the data names the event
        """Return the pieces in one event. Raises one of `json_object.UNREADABLE`."""
        if data.strip() == _END:
            return ()
        found = read_leniently(_EVENT, data)
        delta = found.delta or _Delta()
        message, index = delta.message or _Message(), found.index or 0
        match found.type:
            case "content-delta" | "content-start":
                return list(self._blocks(message.content, found.logprobs))
            case "tool-plan-delta":
                return list(self._plan(message.tool_plan))
            case "tool-call-start":
                return [piece for call in _listed(_CALLS, message.tool_calls) for piece in self._begin(index, call)]
            case "tool-call-delta":
                return [piece for call in _listed(_CALLS, message.tool_calls) for piece in self._arguments(index, call)]
            case "tool-call-end":
                return self._end(index)
            case "citation-start":
                return list(self._citations(message.citations))
            case "message-start":
                return [Start(found.id or "")]
            case "message-end":
                return [*_ending(delta.finish_reason, delta.usage, delta.error), Done()]
            case "":
                return [] if is_empty(found.message) else [Failed(data)]
        return ()

    def pieces(self, answer: CohereAnswer) -> Iterator[Piece]:
        """Yield the pieces of a whole answer."""
        message = answer.message or _Message()
        yield Start(answer.id)
        yield from self._plan(message.tool_plan)
        yield from self._blocks(message.content, answer.logprobs)
        yield from self._citations(message.citations)
        for index, call in enumerate(_listed(_CALLS, message.tool_calls)):
            yield from self._begin(index, call)
            yield from self._end(index)
        yield from _ending(answer.finish_reason, answer.usage, None)

    def _plan(self, text: str | None) -> Iterator[Piece]:
        if text:
            self._planned += len(text)
            yield TextPiece(text)

    def _blocks(self, content: Raw, logprobs: Raw) -> Iterator[Piece]:
        for block in _listed(_BLOCKS, content):
            if block.thinking:
                yield ReasoningPiece(block.thinking)
            if block.text:
                yield TextPiece(block.text, logprobs=_logprobs(logprobs))
                logprobs = _NO_VALUE

    def _begin(self, index: int, call: _Call) -> Iterator[Piece]:
        number = self._calls[index] = len(self._calls)
        self._has_arguments = False
        yield ToolBegin(number, call.id or f"call_{number}", (call.function or _Function()).name or "")
        yield from self._arguments(index, call)

    def _arguments(self, index: int, call: _Call) -> Iterator[Piece]:
        given = (call.function or _Function()).arguments
        if given and index in self._calls:
            self._has_arguments = True
            yield ToolArguments(self._calls[index], given)

    def _end(self, index: int) -> Sequence[Piece]:
        """End a call. One without arguments has an empty object, which other dialects write as text."""
        return () if self._has_arguments or index not in self._calls else [ToolArguments(self._calls[index], "{}")]

    def _citations(self, raw: Raw) -> Iterator[Piece]:
        if is_empty(raw):
            return
        for one in _CITATIONS.decode(raw) if bytes(raw).startswith(b"[") else [Raw(bytes(raw))]:
            found = read_or(_CITATION, one, _Citation())
            sources = [] if is_empty(found.sources) else read_or(_SOURCES, found.sources, [])
            pages = [source.document for source in sources if source.document is not None and source.document.url]
            if pages and found.type == "TEXT_CONTENT":
                start, end = found.start + self._planned, found.end + self._planned
                yield CitationPiece(one, NAME, url=pages[0].url, title=pages[0].title, start=start, end=end)
            else:
                yield CitationPiece(one, NAME)


def read_answer(body: bytes) -> Sequence[Piece]:
    """Return the pieces of a whole answer. Raises one of `json_object.UNREADABLE`."""
    return [*CohereReader().pieces(decode_answer(body)), Done()]


def _listed(decoder: "msgspec.json.Decoder[list[T] | T]", raw: Raw) -> list[T]:
    """Return the members of a list, or the only one of an event. Raises one of `json_object.UNREADABLE`."""
    if is_empty(raw):
        return []
    found = read_leniently(decoder, bytes(raw))
    return found if isinstance(found, list) else [found]


def _ending(reason: str | None, usage: Raw, error: str | None) -> Iterator[Piece]:
    spent, is_fault = read_usage(usage), bool(error) or reason in FAULTS
    if reason and not is_fault:
        yield Finish(REASONS.get(reason, "stop"))
    if spent is not None:
        yield UsagePiece(spent)
    if is_fault:
        yield Failed(encode_object({"message": error or "the generation of the answer failed", "code": reason}))


def _logprobs(raw: Raw) -> Raw | None:
    """Return the log probabilities in OpenAI's shape; `None` if there are none. That of a chunk of several tokens is
    their sum."""
    found = [] if is_empty(raw) else read_or(_LOGPROBS, raw, [])
    chunks = found if isinstance(found, list) else [found]
    tokens = [
        {
            "token": one.text or "",
            "logprob": sum(one.logprobs),
            "bytes": list((one.text or "").encode("utf-8", "replace")),
            "top_logprobs": list[object](),
        }
        for one in chunks
        if one.logprobs
    ]
    return Raw(encode_object(tokens)) if tokens else None
