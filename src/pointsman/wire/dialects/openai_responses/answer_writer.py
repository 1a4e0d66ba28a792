"""Answers for a client: streams of typed events, and whole responses.

https://platform.openai.com/docs/api-reference/responses-streaming, …/responses/object

Items follow each other, as in OpenAI's own streams, except for calls, which stay open until the answer has finished.
The response is never stored, so it says so.

Reasoning is shown as a summary, whose author proves it with the encrypted content. The client sends both back with its
next request, as it would to OpenAI without storage.
"""

from collections.abc import Sequence

from msgspec import Raw, Struct

from pointsman.domain.calls import Call
from pointsman.domain.failures import Failure
from pointsman.domain.pieces import (
    CitationPiece,
    Done,
    Failed,
    Finish,
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
from pointsman.wire.dialects.openai_responses._call_items import CallItems
from pointsman.wire.dialects.openai_responses._output_log import OpenItem, OutputLog
from pointsman.wire.dialects.openai_responses._response import failed_error
from pointsman.wire.dialects.openai_responses._shapes import LIST, NAME, NOTHING, REDACTED
from pointsman.wire.dialects.openai_responses.namespaces import names_in
from pointsman.wire.errors import error_fields
from pointsman.wire.json_object import encode_object, read_or
from pointsman.wire.translation import mark_signature

# A paused answer is incomplete, and no other reason fits it. A refusal has this reason unless its text shows it.
_INCOMPLETE = {
    "length": "max_output_tokens",
    "pause": "max_output_tokens",
    "content_filter": "content_filter",
    "refusal": "content_filter",
}


class OpenPart(Struct, gc=False):
    """A part of a message that is being written."""

    kind: str  # `output_text` or `refusal`
    index: int
    start: int  # in characters of all texts of the answer
    texts: list[str] = []
    logprobs: list[Raw] = []
    annotations: list[object] = []


class ResponseWriter:
    """A `PieceWriter`."""

    def __init__(self, call: Call, now: float, *, is_streamed: bool = True) -> None:
        self._log = OutputLog(call, now, is_streamed=is_streamed)
        self._message: OpenItem | None = None
        self._part: OpenPart | None = None
        self._characters = 0
        self._begins = False  # whether the next text begins a new part
        self._reasoning: OpenItem | None = None
        self._calls = CallItems(self._log, names_in(call.fields.get("tools", NOTHING)))
        self._is_done = self._has_refused = False

    def resume(
        self,
        number: int,
        response: dict[str, Raw],
        items: list[dict[str, object]],
        *,
        message: OpenItem | None,
        part: OpenPart | None,
        characters: int,
    ) -> None:
        """Go on after the events of a response that broke off: their `number`, the response of the first event, its
        items, the open message and its open part, and the length of all texts."""
        self._log.resume(number, response, items)
        self._message, self._part, self._characters = message, part, characters

    def write(self, pieces: Sequence[Piece]) -> bytes:
        for piece in pieces:
            if not self._is_done:
                self._write(piece)
        return self._log.take()

    def error(self, failure: Failure, request_id: str) -> bytes:
        """Return the end of a failed stream. `error` is added to OpenAI's own event, because official SDKs raise on it
        and pass the event without it on."""
        if self._is_done:
            return b""
        response = self._log.state("failed", failed_error(failure, request_id))
        self._log.emit("response.failed", response=response, error=error_fields(failure, request_id))
        self._is_done = True
        return self._log.take()

    def _write(self, piece: Piece) -> None:
        match piece:
            case Start():
                self._log.begin(piece)
            case TextPiece():
                self._text(piece)
            case RefusalPiece():
                self._refusal(piece)
            case ReasoningPiece():
                self._think(piece)
            case SignaturePiece():
                self._sign(piece)
            case CitationPiece():
                self._cite(piece)
            case ToolBegin():
                self._close_message()
                self._close_reasoning("")
                self._calls.begin(piece)
            case ToolArguments():
                self._calls.add(piece)
            case UsagePiece():
                self._log.usage = piece.usage
            case Finish():
                is_shown = piece.reason == "refusal" and self._has_refused
                self._log.reason = None if is_shown else _INCOMPLETE.get(piece.reason)
                self._close()
            case Done():
                self._end()
            case Failed():
                pass  # the gateway reports it with `error`

    def response(self) -> dict[str, object]:
        """Return the response with all items closed."""
        self._close()
        return self._log.state(self._log.item_status)

    def _end(self) -> None:
        response = self.response()
        self._log.emit(f"response.{response['status']}", response=response)
        self._is_done = True

    def _text(self, piece: TextPiece) -> None:
        self._begins = self._begins or piece.begins
        if not piece.text:
            return  # no item is begun for it
        message, part = self._part_of("output_text")
        logprobs = [] if piece.logprobs is None else read_or(LIST, piece.logprobs, [])
        part.texts.append(piece.text)
        self._characters += len(piece.text)
        part.logprobs += logprobs
        self._emit_in(message, part, "response.output_text.delta", delta=piece.text, logprobs=logprobs)

    def _refusal(self, piece: RefusalPiece) -> None:
        self._has_refused = True
        message, part = self._part_of("refusal")
        part.texts.append(piece.text)
        self._emit_in(message, part, "response.refusal.delta", delta=piece.text)

    def _cite(self, piece: CitationPiece) -> None:
        """Write a citation. One that is no web page, in another dialect, has no equivalent here."""
        if piece.origin != NAME and not piece.url:
            return
        message, part = self._part_of("output_text")
        annotation: object = piece.raw
        if piece.origin != NAME:
            annotation = {
                "type": "url_citation",
                "url": piece.url,
                "title": piece.title,
                "start_index": max(piece.start - part.start, 0),
                "end_index": max(piece.end - part.start, 0),
            }
        part.annotations.append(annotation)
        number = len(part.annotations) - 1
        name = "response.output_text.annotation.added"
        self._emit_in(message, part, name, annotation=annotation, annotation_index=number)

    def _part_of(self, kind: str) -> tuple[OpenItem, OpenPart]:
        """Return the open part of a message, after it has been begun if necessary."""
        self._close_reasoning("")
        message = self._message
        if message is None:
            draft: dict[str, object] = {"type": "message", "status": "in_progress", "role": "assistant", "content": []}
            message = self._message = self._log.open("msg", draft)
        part = self._part
        if part is None or self._begins or part.kind != kind:
            self._close_part()
            self._begins = False
            part = self._part = OpenPart(kind, len(message.parts), self._characters)
            self._emit_in(message, part, "response.content_part.added", part=_content(part))
        return message, part

    def _emit_in(self, message: OpenItem, part: OpenPart, name: str, /, **fields: object) -> None:
        self._log.emit(name, item_id=message.id, output_index=message.index, content_index=part.index, **fields)

    def _close_part(self) -> None:
        message, part = self._message, self._part
        if message is None or part is None:
            return
        text = "".join(part.texts)
        if part.kind == "refusal":
            self._emit_in(message, part, "response.refusal.done", refusal=text)
        else:
            self._emit_in(message, part, "response.output_text.done", text=text, logprobs=part.logprobs)
        content = _content(part)
        message.parts.append(content)
        self._emit_in(message, part, "response.content_part.done", part=content)
        self._part = None

    def _close_message(self) -> None:
        self._close_part()
        message, self._message = self._message, None
        if message is not None:
            fields: dict[str, object] = {"type": "message", "status": self._log.item_status, "role": "assistant"}
            self._log.complete(message, {**fields, "content": message.parts})

    def _think(self, piece: ReasoningPiece) -> None:
        self._close_message()
        if piece.begins:
            self._close_reasoning("")
        opened = self._reasoning or self._open_reasoning()
        place = {"item_id": opened.id, "output_index": opened.index, "summary_index": 0}
        if not opened.texts:
            part = {"type": "summary_text", "text": ""}
            self._log.emit("response.reasoning_summary_part.added", **place, part=part)
        opened.texts.append(piece.text)
        self._log.emit("response.reasoning_summary_text.delta", **place, delta=piece.text)

    def _open_reasoning(self) -> OpenItem:
        opened = self._reasoning = self._log.open("rs", {"type": "reasoning", "summary": []})
        return opened

    def _sign(self, piece: SignaturePiece) -> None:
        """End a block of reasoning with its proof. A block that cannot be read has no text."""
        self._close_message()
        if piece.is_redacted:
            self._close_reasoning("")
        if self._reasoning is None:
            self._open_reasoning()
        signature = f"{REDACTED}{piece.signature}" if piece.is_redacted else piece.signature
        self._close_reasoning(mark_signature(signature, piece.origin, NAME))

    def _close_reasoning(self, encrypted: str) -> None:
        opened, self._reasoning = self._reasoning, None
        if opened is None:
            return
        summary = []
        if opened.texts:
            text = "".join(opened.texts)
            part = {"type": "summary_text", "text": text}
            place = {"item_id": opened.id, "output_index": opened.index, "summary_index": 0}
            self._log.emit("response.reasoning_summary_text.done", **place, text=text)
            self._log.emit("response.reasoning_summary_part.done", **place, part=part)
            summary = [part]
        item: dict[str, object] = {"type": "reasoning", "summary": summary}
        self._log.complete(opened, {**item, "encrypted_content": encrypted} if encrypted else item)

    def _close(self) -> None:
        """Close all items that are open."""
        self._close_message()
        self._close_reasoning("")
        self._calls.close()


def write_answer(call: Call, now: float, pieces: Sequence[Piece]) -> bytes:
    """Return a whole response."""
    writer = ResponseWriter(call, now, is_streamed=False)
    writer.write(pieces)
    return encode_object(writer.response())


def _content(part: OpenPart) -> dict[str, object]:
    text = "".join(part.texts)
    if part.kind == "refusal":
        return {"type": "refusal", "refusal": text}
    return {
        "type": "output_text",
        "annotations": list(part.annotations),
        "logprobs": list(part.logprobs),
        "text": text,
    }
