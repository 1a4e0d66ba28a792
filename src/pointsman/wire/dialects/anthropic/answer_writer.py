"""Write answers in Anthropic's dialect, streamed and whole.

https://platform.claude.com/docs/en/build-with-claude/streaming, https://platform.claude.com/docs/en/api/messages

Only one block of a stream is open at a time. So if parts of several calls of tools alternate, the first call is written
as it arrives, and all other content waits until its arguments are complete. Spoken output and log probabilities have no
place.
"""

from collections import deque
from collections.abc import Sequence

from msgspec import Struct

from pointsman.domain.calls import Call
from pointsman.domain.failures import Failure
from pointsman.domain.outcomes import Usage
from pointsman.domain.pieces import (
    CitationPiece,
    Done,
    Finish,
    FinishReason,
    Piece,
    ReasoningPiece,
    RefusalPiece,
    SignaturePiece,
    Start,
    TextPiece,
    ToolArguments,
    ToolBegin,
    UsagePiece,
)
from pointsman.wire.dialects.anthropic._blocks import ID_MARK, NAME
from pointsman.wire.dialects.anthropic.errors import error_event
from pointsman.wire.dialects.anthropic.usage import written_usage
from pointsman.wire.json_object import encode_object
from pointsman.wire.tool_calls import OpenCall, tool_input
from pointsman.wire.translation import mark_signature

_REASONS: dict[FinishReason, str] = {
    "stop": "end_turn",
    "stop_sequence": "stop_sequence",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
    "refusal": "refusal",
    "pause": "pause_turn",
}


class _AnswerEnd(Struct):
    """The facts of an answer that its end reports."""

    usage: Usage = Usage()
    finish: Finish | None = None
    refused: bool = False
    has_calls: bool = False

    def stop(self) -> dict[str, object]:
        """Return the fields that say why the answer ended. If the provider gave no reason, its content shows one: in a
        whole answer, clients always get one."""
        finish = self.finish or Finish("tool_calls" if self.has_calls else "stop")
        reason = "refusal" if self.refused and finish.reason == "stop" else _REASONS[finish.reason]
        return {
            "stop_reason": reason,
            "stop_sequence": finish.stop_sequence or None,
            "stop_details": finish.details if reason == "refusal" else None,
        }


def message_head(call: Call, start: Start, now: float, usage: Usage) -> dict[str, object]:
    """Return the fields of a message before its content is known."""
    return {
        "id": start.id or f"msg_{int(now * 1_000):x}",
        "type": "message",
        "role": "assistant",
        "model": start.model or call.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": written_usage(usage),
    }


def shown_citation(piece: CitationPiece) -> object:
    """Return a citation as a client sees it: Anthropic's own, or a web page of another author. It is `None` for any
    other, which this dialect cannot show."""
    if piece.origin == NAME:
        return piece.raw
    if not piece.url:
        return None
    return {
        "type": "web_search_result_location",
        "cited_text": "",
        "encrypted_index": "",
        "title": piece.title or None,
        "url": piece.url,
    }


def shown_signature(piece: SignaturePiece) -> str:
    """Return the proof of reasoning as a client sees it. One of another author includes the author's id of it."""
    signature, name = piece.signature, "" if ID_MARK in piece.id else piece.id
    if piece.origin != NAME and (name or ID_MARK in signature):
        signature = f"{name}{ID_MARK}{signature}"
    return mark_signature(signature, piece.origin, NAME)


class MessagesWriter:
    """Writes one streamed answer. Its first event waits for the first content, so that it has the usage of the
    prompt if the provider reports that early."""

    def __init__(self, call: Call, now: float) -> None:
        self._call = call
        self._now = now
        self._start = Start()
        self._ending = _AnswerEnd()
        self._has_begun = self._is_done = False
        self._index = -1  # of the block that is open, or was last
        self._open: str | int | None = None  # the type of the open block; for a call of a tool, its index
        self._has_text = False  # in the open block
        self._tools: dict[int, OpenCall] = {}
        self._waiting: deque[Piece] = deque()  # content that arrived while a call was incomplete
        self._out: list[bytes] = []

    @classmethod
    def resumed(cls, call: Call, index: int, *, is_in_text: bool) -> "MessagesWriter":
        """Return a writer that goes on after the block with this index, which is open if `is_in_text`."""
        found = cls(call, 0.0)
        found._has_begun, found._index = True, index
        if is_in_text:
            found._open, found._has_text = "text", True
        return found

    def write(self, pieces: Sequence[Piece]) -> bytes:
        """Return the events that these pieces complete."""
        for piece in pieces:
            if not self._is_done:
                self._write(piece)
        out, self._out = b"".join(self._out), []
        return out

    def error(self, failure: Failure, request_id: str) -> bytes:
        """Return the event that ends the stream if it cannot be completed."""
        self._is_done = True
        return error_event(failure, request_id)

    def _write(self, piece: Piece) -> None:
        match piece:
            case ToolArguments():
                self._arguments(piece)
            case Start():
                self._start = piece
            case UsagePiece():
                self._ending.usage = piece.usage
            case Finish():
                self._ending.finish = piece
            case Done():
                self._end()
            case _:
                if isinstance(piece, ToolBegin):
                    self._tools[piece.index] = OpenCall(piece.id, piece.name, [])
                self._waiting.append(piece)
                self._release()

    def _release(self, *, ends: bool = False) -> None:
        """Write the content that waits, up to a call that is incomplete. If the answer `ends`, every call counts as
        complete."""
        while self._waiting:
            if isinstance(self._open, int) and not (ends or self._tools[self._open].is_complete()):
                return
            self._content(self._waiting.popleft())

    def _content(self, piece: Piece) -> None:
        match piece:
            case TextPiece():
                self._text(piece.text, piece.begins)
            case RefusalPiece():
                self._ending.refused = True
                self._text(piece.text, begins=False)
            case CitationPiece():
                citation = shown_citation(piece)
                if citation is not None and self._open == "text":  # a citation has no place without its text
                    self._delta({"type": "citations_delta", "citation": citation})
            case ReasoningPiece():
                self._thought(piece)
            case SignaturePiece():
                self._signature(piece)
            case ToolBegin():
                self._ending.has_calls = True
                self._tool(piece)

    def _text(self, text: str, begins: bool) -> None:
        if begins or self._open != "text":
            if not text:
                return
            self._begin("text", {"type": "text", "text": ""}, is_new=begins and self._has_text)
        if text:
            self._has_text = True
            self._delta({"type": "text_delta", "text": text})

    def _thought(self, piece: ReasoningPiece) -> None:
        if not piece.text:
            return
        self._begin(
            "thinking", {"type": "thinking", "thinking": "", "signature": ""}, is_new=piece.begins and self._has_text
        )
        self._has_text = True
        self._delta({"type": "thinking_delta", "thinking": piece.text})

    def _signature(self, piece: SignaturePiece) -> None:
        shown = shown_signature(piece)
        if piece.is_redacted:
            self._begin("redacted_thinking", {"type": "redacted_thinking", "data": shown}, is_new=True)
        else:
            self._begin("thinking", {"type": "thinking", "thinking": "", "signature": ""}, is_new=False)
            self._delta({"type": "signature_delta", "signature": shown})
        self._close()

    def _tool(self, piece: ToolBegin) -> None:
        block: dict[str, object] = {"type": "tool_use", "id": piece.id, "name": piece.name, "input": {}}
        self._begin(piece.index, block, is_new=True)
        arguments = "".join(self._tools[piece.index].arguments)
        if arguments:
            self._delta({"type": "input_json_delta", "partial_json": arguments})

    def _arguments(self, piece: ToolArguments) -> None:
        tool = self._tools.get(piece.index)
        if tool is None or not piece.text:
            return
        tool.arguments.append(piece.text)
        if self._open == piece.index:
            self._delta({"type": "input_json_delta", "partial_json": piece.text})

    def _begin(self, kind: str | int, block: dict[str, object], *, is_new: bool) -> None:
        """Open a block, unless one of this kind is open and none `is_new`."""
        if self._open == kind and not is_new:
            return
        self._close()
        if not self._has_begun:
            self._begin_message()
        self._index += 1
        self._open, self._has_text = kind, False
        self._event("content_block_start", {"index": self._index, "content_block": block})

    def _begin_message(self) -> None:
        self._has_begun = True
        message = message_head(self._call, self._start, self._now, self._ending.usage)
        self._event("message_start", {"message": message})

    def _delta(self, delta: dict[str, object]) -> None:
        self._event("content_block_delta", {"index": self._index, "delta": delta})

    def _close(self) -> None:
        if self._open is not None:
            self._event("content_block_stop", {"index": self._index})
        self._open, self._has_text = None, False

    def _end(self) -> None:
        self._is_done = True
        self._release(ends=True)
        self._close()
        if not self._has_begun:
            self._begin_message()
        usage = written_usage(self._ending.usage)
        self._event("message_delta", {"delta": self._ending.stop(), "usage": usage})
        self._event("message_stop", {})

    def _event(self, name: str, fields: dict[str, object]) -> None:
        data = encode_object({"type": name, **fields})
        self._out.append(b"event: %b\ndata: %b\n\n" % (name.encode(), data))


class _WholeBlock(Struct):
    """One block of a whole answer, of which `text` is the field `name` in parts."""

    name: str
    fields: dict[str, object]
    text: list[str]

    def whole(self) -> dict[str, object]:
        text = "".join(self.text)
        return self.fields | {self.name: tool_input(text) if self.name == "input" else text}


class _Content:
    """The blocks of a whole answer."""

    def __init__(self) -> None:
        self.blocks: list[_WholeBlock] = []
        self._tools: dict[int, _WholeBlock] = {}

    def add(self, piece: Piece) -> None:
        """Add a piece to the block it belongs to. Pieces that are no content are skipped."""
        match piece:
            case TextPiece() | RefusalPiece():
                self._text(piece.text, begins=isinstance(piece, TextPiece) and piece.begins)
            case CitationPiece():
                self._cite(piece)
            case ReasoningPiece():
                if piece.text:
                    self._thinking(begins=piece.begins).text.append(piece.text)
            case SignaturePiece() if piece.is_redacted:
                self._new("data", {"type": "redacted_thinking"}).text.append(shown_signature(piece))
            case SignaturePiece():
                self._thinking(begins=False).fields["signature"] = shown_signature(piece)
            case ToolBegin():
                fields: dict[str, object] = {"type": "tool_use", "id": piece.id, "name": piece.name}
                self._tools[piece.index] = self._new("input", fields)
            case ToolArguments():
                if piece.index in self._tools:
                    self._tools[piece.index].text.append(piece.text)

    def _new(self, name: str, fields: dict[str, object]) -> _WholeBlock:
        self.blocks.append(_WholeBlock(name, fields, []))
        return self.blocks[-1]

    def _is_in(self, name: str) -> bool:
        return bool(self.blocks) and self.blocks[-1].name == name

    def _text(self, text: str, *, begins: bool) -> None:
        if text:
            block = self.blocks[-1] if self._is_in("text") and not begins else self._new("text", {"type": "text"})
            block.text.append(text)

    def _thinking(self, *, begins: bool) -> _WholeBlock:
        """Return the block of thinking that goes on. A proof ends a block."""
        if self._is_in("thinking") and not begins and not self.blocks[-1].fields["signature"]:
            return self.blocks[-1]
        return self._new("thinking", {"type": "thinking", "signature": ""})

    def _cite(self, piece: CitationPiece) -> None:
        citation = shown_citation(piece)
        if citation is None or not self._is_in("text"):
            return  # a citation has no place without its text
        citations = self.blocks[-1].fields.setdefault("citations", [])
        assert isinstance(citations, list)
        citations.append(citation)


def write_answer(call: Call, now: float, pieces: Sequence[Piece]) -> bytes:
    """Return a whole answer."""
    start, ending, content = Start(), _AnswerEnd(), _Content()
    for piece in pieces:
        match piece:
            case Start():
                start = piece
            case UsagePiece():
                ending.usage = piece.usage
            case Finish():
                ending.finish = piece
            case _:
                ending.refused |= isinstance(piece, RefusalPiece)
                ending.has_calls |= isinstance(piece, ToolBegin)
                content.add(piece)
    message = message_head(call, start, now, ending.usage)
    return encode_object(message | {"content": [block.whole() for block in content.blocks]} | ending.stop())
