"""Read answers in Anthropic's dialect, streamed and whole.

https://platform.claude.com/docs/en/build-with-claude/streaming, https://platform.claude.com/docs/en/api/messages

Blocks of tools that Anthropic runs are skipped: no client of another dialect can ask for those tools. Citations follow
the block that they belong to, since only its end shows which part of the text they are about.
"""

from collections.abc import Sequence

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
    SignaturePiece,
    Start,
    TextPiece,
    ToolArguments,
    ToolBegin,
    UsagePiece,
)
from pointsman.wire.dialects.anthropic._blocks import NAME, NO_VALUE
from pointsman.wire.dialects.anthropic.usage import AnthropicUsage, read_counts
from pointsman.wire.json_object import read_leniently, read_or

REASONS: dict[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop_sequence",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "refusal",
    "pause_turn": "pause",
}
_NULL = frozenset({b"", b"null"})
_NO_INPUT = frozenset({b"", b"null", b"{}"})


class AnswerBlock(Struct, kw_only=True, gc=False):
    """A block of an answer; in a stream, its beginning."""

    type: str
    text: str = ""
    citations: list[Raw] | None = None
    thinking: str = ""
    signature: str = ""
    data: str = ""
    id: str = ""
    name: str = ""
    input: Raw = NO_VALUE


class _MessageEnd(Struct, kw_only=True, gc=False):
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: Raw = NO_VALUE


class WholeMessage(_MessageEnd, kw_only=True, gc=False):
    """A whole answer; in a stream, its beginning."""

    type: str = "message"
    id: str = ""
    model: str = ""
    content: list[Raw] = []
    usage: Raw = NO_VALUE


class _BlockDelta(_MessageEnd, kw_only=True, gc=False):
    type: str = ""
    text: str = ""
    thinking: str = ""
    signature: str = ""
    partial_json: str = ""
    citation: Raw = NO_VALUE


class _MessageEvent(Struct, kw_only=True, gc=False):
    type: str
    index: int = 0
    message: WholeMessage | None = None
    content_block: Raw = NO_VALUE
    delta: _BlockDelta | None = None
    usage: Raw = NO_VALUE


class _BlockType(Struct, gc=False):
    type: str


class _WebCitation(Struct, gc=False):
    type: str = ""
    url: str = ""
    title: str | None = None


_EVENT = msgspec.json.Decoder(_MessageEvent)
_MESSAGE = msgspec.json.Decoder(WholeMessage)
_TYPE = msgspec.json.Decoder(_BlockType)
_BLOCK = msgspec.json.Decoder(AnswerBlock)
_WEB = msgspec.json.Decoder(_WebCitation)
_READ = frozenset({"text", "thinking", "redacted_thinking", "tool_use"})


class _OpenBlock:
    """A block that has begun. `begins` says that none of its text has come yet."""

    __slots__ = ("begins", "block", "citations", "start", "tool")

    def __init__(self, block: AnswerBlock, start: int, tool: int) -> None:
        self.block = block
        self.begins = True
        self.citations = list(block.citations or ())
        self.start = start
        self.tool = tool


class AnthropicReader:
    """Reads one streamed answer."""

    def __init__(self) -> None:
        self._open: dict[int, _OpenBlock] = {}
        self._tools = 0
        self._characters = 0
        self._counts = AnthropicUsage()

    def read(self, data: bytes, event: bytes) -> Sequence[Piece]:  # noqa: ARG002 -- the data names the event
        """Return the pieces in one event. Raises one of `json_object.UNREADABLE`."""
        found = read_leniently(_EVENT, data)
        match found.type:
            case "content_block_delta" if found.delta is not None:
                return self._delta(found.index, found.delta)
            case "content_block_start":
                return self._begin(found.index, found.content_block)
            case "content_block_stop":
                return self._end(found.index)
            case "message_start" if found.message is not None:
                message = found.message
                return [Start(message.id, message.model), *self._spent(message.usage, is_partial=True)]
            case "message_delta" if found.delta is not None:
                return [*self.finish(found.delta), *self._spent(found.usage)]
            case "message_stop":
                return [Done()]
            case "error":
                return [Failed(data)]
        return ()

    def whole(self, message: WholeMessage) -> Sequence[Piece]:
        """Return the pieces of a whole answer."""
        pieces: list[Piece] = [Start(message.id, message.model)]
        for index, raw in enumerate(message.content):
            pieces += self._begin(index, raw)
            pieces += self._end(index)
        return [*pieces, *self.finish(message), *self._spent(message.usage), Done()]

    def finish(self, end: _MessageEnd) -> Sequence[Piece]:
        """Return the finish, and the citations of blocks that were never closed."""
        pieces: list[Piece] = [piece for index in tuple(self._open) for piece in self._end(index)]
        if end.stop_reason is not None:
            details = None if bytes(end.stop_details) in _NULL else end.stop_details
            reason = REASONS.get(end.stop_reason, "stop")
            pieces.append(Finish(reason, end.stop_sequence or "", details))
        return pieces

    def _spent(self, usage: Raw, *, is_partial: bool = False) -> Sequence[Piece]:
        counts = read_counts(usage)
        if counts is None:
            return ()
        self._counts = self._counts.updated(counts)
        return [UsagePiece(self._counts.normalised(), is_partial)]

    def _begin(self, index: int, raw: Raw) -> Sequence[Piece]:
        if read_leniently(_TYPE, bytes(raw)).type not in _READ:
            return ()
        block = read_leniently(_BLOCK, bytes(raw))
        opened = self._open[index] = _OpenBlock(block, self._characters, self._tools)
        if block.type == "tool_use":
            self._tools += 1
            return [ToolBegin(opened.tool, block.id, block.name)]
        if block.type == "redacted_thinking":
            return [SignaturePiece(block.data, NAME, is_redacted=True)]
        pieces: list[Piece] = []
        if block.text:
            pieces.append(self._text(opened, block.text))
        if block.thinking:
            pieces.append(self._thought(opened, block.thinking))
        if block.signature:
            pieces.append(SignaturePiece(block.signature, NAME))
        return pieces

    def _delta(self, index: int, delta: _BlockDelta) -> Sequence[Piece]:
        opened = self._open.get(index)
        if opened is None:
            return ()
        match delta.type:
            case "text_delta" if delta.text:
                return [self._text(opened, delta.text)]
            case "thinking_delta" if delta.thinking:
                return [self._thought(opened, delta.thinking)]
            case "input_json_delta" if delta.partial_json:
                opened.begins = False
                return [ToolArguments(opened.tool, delta.partial_json)]
            case "signature_delta":
                return [SignaturePiece(delta.signature, NAME)]
            case "citations_delta":
                opened.citations.append(delta.citation)
        return ()

    def _end(self, index: int) -> Sequence[Piece]:
        opened = self._open.pop(index, None)
        if opened is None:
            return ()
        if opened.block.type == "tool_use":
            # A whole answer, and some servers' streams, have all of the input in the beginning of the block. A call
            # without arguments has an empty object, which other dialects write as text.
            given = bytes(opened.block.input)
            text = "{}" if given in _NO_INPUT else given.decode()
            return [ToolArguments(opened.tool, text)] if opened.begins else ()
        return [self._citation(raw, opened.start) for raw in opened.citations]

    def _text(self, opened: _OpenBlock, text: str) -> TextPiece:
        begins, opened.begins = opened.begins, False
        self._characters += len(text)
        return TextPiece(text, begins)

    def _thought(self, opened: _OpenBlock, text: str) -> ReasoningPiece:
        begins, opened.begins = opened.begins, False
        return ReasoningPiece(text, begins)

    def _citation(self, raw: Raw, start: int) -> CitationPiece:
        web = read_or(_WEB, raw, _WebCitation())
        if web.type != "web_search_result_location":
            return CitationPiece(raw, NAME)
        title = web.title or ""
        return CitationPiece(raw, NAME, url=web.url, title=title, start=start, end=self._characters)


def read_answer(body: bytes) -> Sequence[Piece]:
    """Return the pieces of a whole answer. Raises one of `json_object.UNREADABLE`."""
    message = read_leniently(_MESSAGE, body)
    if message.type == "error":
        return [Failed(body), Done()]
    return AnthropicReader().whole(message)
