"""The part of a streamed answer that its client has received, and the writer of its continuation.

A continuation is another answer, whose request ends with the text so far. The client must see one answer: one
beginning, one end, one usage, and each character once.
"""

from collections.abc import Sequence

from msgspec import Raw
from msgspec.structs import replace

from pointsman.domain.calls import Call
from pointsman.domain.conversations import Conversation, Text
from pointsman.domain.failures import Failure
from pointsman.domain.outcomes import Usage
from pointsman.domain.pieces import (
    CitationPiece,
    Piece,
    ReasoningPiece,
    SignaturePiece,
    Start,
    TextPiece,
    UsagePiece,
)
from pointsman.wire.json_object import UNREADABLE, encode_object
from pointsman.wire.sse import event_data, split_events
from pointsman.wire.tokens import about_size
from pointsman.wire.translation import Halves, PieceWriter, Resuming

MOST_TEXT = 1024 * 1024  # characters that are kept of an answer; a longer one is not continued
_REASONING = (ReasoningPiece, SignaturePiece)
_LEFT_OUT = (Start, *_REASONING)  # of a continuation


def appended(turns: Raw, turn: dict[str, object]) -> Raw:
    """Return a JSON list with one more element."""
    listed = bytes(turns).rstrip()[:-1].rstrip()
    return Raw(listed + (b"," if listed != b"[" else b"") + encode_object(turn) + b"]")


class Delivered:
    """The text that a client has received. `is_text` turns false at anything else than text with reasoning before it,
    such as a call of a tool: such an answer cannot be continued."""

    def __init__(self, halves: Halves, resuming: Resuming, call: Call) -> None:
        self._reader = halves.reader()
        self.resuming = resuming
        self._resumption = resuming.follow(call)
        self._texts: list[str] = []
        self._length = 0
        self.is_text = True

    @property
    def text(self) -> str:
        return "".join(self._texts)

    def read(self, events: bytes) -> None:
        """Take the next whole events."""
        for event in split_events(events):
            data = event_data(event)
            if not self.is_text:
                return
            if data is None or not data.strip():
                continue
            try:
                self._resumption.follow(data)
                pieces = self._reader.read(data, event)
            except UNREADABLE:
                self._give_up()
                return
            for piece in pieces:
                self._note(piece)

    def writer(self) -> PieceWriter:
        """Return a writer that goes on after these events."""
        return self._resumption.writer()

    def _note(self, piece: Piece) -> None:
        if isinstance(piece, TextPiece) and piece.logprobs is None:
            self._texts.append(piece.text)
            self._length += len(piece.text)
            if self._length > MOST_TEXT:
                self._give_up()
        elif not isinstance(piece, Start | UsagePiece) and (self._texts or not isinstance(piece, _REASONING)):
            self._give_up()

    def _give_up(self) -> None:
        self.is_text = False
        self._texts.clear()


class ContinuingWriter:
    """A `PieceWriter` of a continuation, which goes on with `writer`. `text` is the text so far, as it was sent to the
    provider, and `blank` the white space behind it, which was not. The continuation may begin with the same white
    space, or, if the provider `echoes`, with the whole text. The client has both already. Its usage is that of the
    prompt of the first answer and of all output: `before` is the part of the earlier answers."""

    def __init__(self, writer: PieceWriter, text: str, blank: str, before: Usage, *, echoes: bool) -> None:
        self._writer = writer
        self._echo = text if echoes else ""
        self._blank = blank
        self._before = before
        self._offset = len(text) + len(blank)
        self._held = ""  # the part of an echo that has come
        self._cut = 0  # characters of the continuation that the client had already

    def write(self, pieces: Sequence[Piece]) -> bytes:
        kept: list[Piece] = []
        for piece in pieces:
            if isinstance(piece, TextPiece):
                text = self._new(piece.text)
                if text:
                    kept.append(TextPiece(text))
            elif isinstance(piece, UsagePiece):
                kept.append(UsagePiece(total(self._before, piece.usage), piece.is_partial))
            elif isinstance(piece, CitationPiece):
                shift = self._offset - self._cut
                kept.append(replace(piece, start=piece.start + shift, end=piece.end + shift))
            elif not isinstance(piece, _LEFT_OUT):
                held, self._held = self._held, ""
                kept += [TextPiece(held), piece] if held else [piece]
        return self._writer.write(kept) if kept else b""

    def error(self, failure: Failure, request_id: str) -> bytes:
        return self._writer.error(failure, request_id)

    def _new(self, text: str) -> str:
        """Return the part of a text that the client does not have."""
        if self._echo:
            text = self._held + text
            if len(text) < len(self._echo) and self._echo.startswith(text):
                self._held = text
                return ""
            if text.startswith(self._echo):
                text, self._cut = text[len(self._echo) :], len(self._echo)
            self._echo = self._held = ""
        while text and self._blank:
            if text[0] != self._blank[0]:
                self._blank = ""
            else:
                text, self._blank, self._cut = text[1:], self._blank[1:], self._cut + 1
        return text


def total(before: Usage, usage: Usage) -> Usage:
    """Return the usage of an answer and its continuation: the first prompt, and all output."""
    return replace(
        before,
        tokens_out=before.tokens_out + usage.tokens_out,
        tokens_reasoning=before.tokens_reasoning + usage.tokens_reasoning,
        tier=before.tier or usage.tier,
    )


def continued_call(resuming: Resuming, call: Call, text: str, spent: int) -> Call:
    """Return the call that requests the rest of an answer with this text. Its bound is lower by the tokens so far: at
    least the `spent` ones, of which each arrived in an event of its own."""
    fields = resuming.continued(call.fields, text)
    size = len(text.encode("utf-8"))
    most, counted = call.max_tokens, call.text_tokens
    return replace(
        call,
        fields=fields,
        size=call.size + size,
        max_tokens=None if most is None else max(1, most - max(spent, about_size(size))),
        text_tokens=None if counted is None else counted + size,
        stateful=False,
        state=None,
    )


def is_plain(conversation: Conversation, text: str) -> bool:
    """Return whether an answer may be continued: plain text, whose request does not end with a text of the assistant
    itself. `conversation` has the text so far as its last turn."""
    sampling, turns = conversation.sampling, conversation.turns
    return (
        conversation.format is None
        and sampling.choices == 1
        and not sampling.logprobs
        and len(turns) > 1
        and turns[-1].parts == (Text(text),)
        and turns[-2].role != "assistant"
    )
