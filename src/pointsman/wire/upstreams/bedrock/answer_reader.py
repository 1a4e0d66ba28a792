"""Read answers of Converse, streamed and whole.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html, …/API_runtime_ConverseStream.html

An event of a stream is an object with one field, named after its type (`frames`). Parts without a common form are
skipped: images, and calls of tools that Amazon runs, for which no client can ask. An answer has no id, and does not
name its model. Its usage comes last.
"""

from collections.abc import Sequence

import msgspec
from msgspec import Raw, Struct

from pointsman.domain.pieces import (
    Done,
    Failed,
    Finish,
    FinishReason,
    Piece,
    ReasoningPiece,
    SignaturePiece,
    Start,
    TextPiece,
    ToolArguments,
    ToolBegin,
    UsagePiece,
)
from pointsman.wire.json_object import is_empty, read_leniently
from pointsman.wire.tool_calls import compact
from pointsman.wire.upstreams.bedrock.errors import error_body
from pointsman.wire.upstreams.bedrock.usage import read_usage

NAME = "bedrock"
# https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_MessageStopEvent.html
REASONS: dict[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop_sequence",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
}
FAULTS = frozenset({"malformed_model_output", "malformed_tool_use"})  # the model failed: its answer is of no use
_NO_VALUE = Raw(b"")


class _ToolUse(Struct, rename="camel", gc=False):
    tool_use_id: str = ""
    name: str = ""
    input: Raw = _NO_VALUE
    type: str | None = None


class _ReasoningText(Struct, gc=False):
    text: str = ""
    signature: str | None = None


class _Reasoning(Struct, rename="camel", gc=False):
    """Reasoning in a whole answer, or a part of it."""

    reasoning_text: _ReasoningText | None = None
    text: str | None = None
    signature: str | None = None
    redacted_content: str | None = None


class _CitedText(Struct, gc=False):
    text: str | None = None


class _Cited(Struct, gc=False):
    content: list[_CitedText] | None = None


class _ContentBlock(Struct, rename="camel", gc=False):
    text: str | None = None
    tool_use: _ToolUse | None = None
    reasoning_content: _Reasoning | None = None
    citations_content: _Cited | None = None


class _Message(Struct, gc=False):
    content: list[_ContentBlock] | None = None


class _Output(Struct, gc=False):
    message: _Message | None = None


class _ServiceTier(Struct, gc=False):
    type: str | None = None


class ConverseAnswer(Struct, rename="camel", gc=False):
    """A whole answer."""

    output: _Output | None = None
    stop_reason: str | None = None
    usage: Raw = _NO_VALUE
    service_tier: _ServiceTier | None = None

    @property
    def blocks(self) -> list[_ContentBlock] | None:
        """The content; `None` if the answer has no message."""
        message = self.output.message if self.output is not None else None
        return (message.content or []) if message is not None else None

    @property
    def tier(self) -> str | None:
        return self.service_tier.type if self.service_tier is not None else None


class _BlockStart(Struct, rename="camel", gc=False):
    content_block_index: int = 0
    start: _ContentBlock | None = None


class _BlockDelta(Struct, rename="camel", gc=False):
    content_block_index: int = 0
    delta: _ContentBlock | None = None


class _MessageStop(Struct, rename="camel", gc=False):
    stop_reason: str = ""


class _Metadata(Struct, rename="camel", gc=False):
    usage: Raw = _NO_VALUE
    service_tier: _ServiceTier | None = None


class _StreamEvent(Struct, rename="camel", gc=False):
    message_start: Raw = _NO_VALUE
    content_block_start: _BlockStart | None = None
    content_block_delta: _BlockDelta | None = None
    content_block_stop: _BlockDelta | None = None
    message_stop: _MessageStop | None = None
    metadata: _Metadata | None = None
    error: Raw = _NO_VALUE


_ANSWER = msgspec.json.Decoder(ConverseAnswer)
_EVENT = msgspec.json.Decoder(_StreamEvent)


def decode_answer(body: bytes) -> ConverseAnswer:
    """Return a whole answer. Raises one of `json_object.UNREADABLE`."""
    return read_leniently(_ANSWER, body)


class ConverseReader:
    """Reads one streamed answer."""

    def __init__(self) -> None:
        self._block = -1  # the index of the last block with content
        self._calls: dict[int, int] = {}  # by the index of the block
        self._empty: set[int] = set()  # blocks of calls without arguments so far

    def read(self, data: bytes, event: bytes) -> Sequence[Piece]:  # noqa: ARG002 -- the data names the event
        """Return the pieces in one event. Raises one of `json_object.UNREADABLE`."""
        found = read_leniently(_EVENT, data)
        if not is_empty(found.error):
            return [Failed(data)]
        if found.content_block_delta is not None and found.content_block_delta.delta is not None:
            return self._delta(found.content_block_delta.content_block_index, found.content_block_delta.delta)
        if found.content_block_start is not None and found.content_block_start.start is not None:
            return self._begin(found.content_block_start.content_block_index, found.content_block_start.start)
        if found.content_block_stop is not None:
            return self._end(found.content_block_stop.content_block_index)
        if found.message_stop is not None:
            return [*self._ends(), *_finish(found.message_stop.stop_reason)]
        if found.metadata is not None:
            tier = found.metadata.service_tier
            usage = read_usage(found.metadata.usage, tier.type if tier is not None else None)
            return [*([] if usage is None else [UsagePiece(usage)]), Done()]
        return [Start()] if bytes(found.message_start) else []

    def _begin(self, index: int, block: _ContentBlock) -> Sequence[Piece]:
        call = block.tool_use
        if call is None or call.type == "server_tool_use":
            return ()
        number = self._calls[index] = len(self._calls)
        self._empty.add(index)
        return [ToolBegin(number, call.tool_use_id, call.name)]

    def _delta(self, index: int, delta: _ContentBlock) -> Sequence[Piece]:
        begins = index != self._block
        if delta.text:
            self._block = index
            return [TextPiece(delta.text, begins)]
        thought = delta.reasoning_content
        if thought is not None:
            self._block = index
            pieces: list[Piece] = [ReasoningPiece(thought.text, begins)] if thought.text else []
            return [*pieces, *_proof(thought.signature, thought.redacted_content)]
        if delta.tool_use is not None and index in self._calls:
            text = msgspec.json.decode(delta.tool_use.input, type=str) if bytes(delta.tool_use.input) else ""
            if text:
                self._empty.discard(index)
                return [ToolArguments(self._calls[index], text)]
        return ()

    def _end(self, index: int) -> Sequence[Piece]:
        """Return the arguments of a call that had none, which other dialects write as text."""
        if index not in self._empty:
            return ()
        self._empty.discard(index)
        return [ToolArguments(self._calls[index], "{}")]

    def _ends(self) -> Sequence[Piece]:
        return [piece for index in sorted(self._empty) for piece in self._end(index)]


def pieces_of(answer: ConverseAnswer) -> Sequence[Piece]:
    """Return the pieces of a whole answer. Raises one of `json_object.UNREADABLE`."""
    pieces: list[Piece] = [Start()]
    calls = 0
    for block in answer.blocks or ():
        thought, call = block.reasoning_content, block.tool_use
        texts = [block.text] if block.text else []
        if block.citations_content is not None:
            texts += [one.text for one in block.citations_content.content or () if one.text]
        pieces += [TextPiece(text, begins=True) for text in texts]
        if thought is not None:
            shown = thought.reasoning_text or _ReasoningText()
            pieces += [ReasoningPiece(shown.text, begins=True)] if shown.text else []
            pieces += _proof(shown.signature, thought.redacted_content)
        if call is not None and call.type != "server_tool_use":
            pieces += [ToolBegin(calls, call.tool_use_id, call.name), ToolArguments(calls, compact(call.input))]
            calls += 1
    pieces += _finish(answer.stop_reason or "")
    usage = read_usage(answer.usage, answer.tier)
    return [*pieces, *([] if usage is None else [UsagePiece(usage)]), Done()]


def read_answer(body: bytes) -> Sequence[Piece]:
    """Return the pieces of a whole answer. Raises one of `json_object.UNREADABLE`."""
    return pieces_of(decode_answer(body))


def _finish(reason: str) -> Sequence[Piece]:
    if reason in FAULTS:
        return [Failed(error_body("the model's answer has no valid end", reason))]
    return [Finish(REASONS.get(reason, "stop"))] if reason else []


def _proof(signature: str | None, redacted: str | None) -> Sequence[Piece]:
    pieces: list[Piece] = [SignaturePiece(signature, NAME)] if signature else []
    return [*pieces, SignaturePiece(redacted, NAME, is_redacted=True)] if redacted else pieces
