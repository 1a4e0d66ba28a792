"""Answers of a provider: streams of typed events, and whole responses.

https://platform.openai.com/docs/api-reference/responses-streaming, …/responses/object

A server may leave out events: some send a text only when it is done, or an item only as a whole. So each event that
repeats a text adds the part of it that has not come yet. An item is read once more when it is done.
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
    RefusalPiece,
    SignaturePiece,
    Start,
    TextPiece,
    ToolArguments,
    ToolBegin,
    UsagePiece,
)
from pointsman.wire.dialects.openai_responses._shapes import NAME, NOTHING, PARAGRAPH, REDACTED
from pointsman.wire.json_object import encode_object, is_empty, read_leniently, read_or
from pointsman.wire.translation import read_signature
from pointsman.wire.usage import read_usage

_ERRORS = frozenset({"error", "response.error", "response.failed", "response.cancelled"})
_ENDS = frozenset({"response.completed", "response.incomplete"})
_CALLS = frozenset({"function_call", "custom_tool_call"})
_REASONS: dict[str, FinishReason] = {"max_output_tokens": "length", "content_filter": "content_filter"}


class _OutputPart(Struct, gc=False):
    type: str = ""
    text: str = ""
    refusal: str = ""
    annotations: list[Raw] = []
    logprobs: Raw = NOTHING


class _OutputItem(Struct, kw_only=True, gc=False):
    type: str = ""
    id: str | None = None
    call_id: str = ""
    name: str = ""
    arguments: str = ""
    input: str = ""
    content: list[_OutputPart] | None = None
    summary: list[_OutputPart] | None = None
    encrypted_content: str | None = None


class _ItemType(Struct, gc=False):
    type: str = ""


class _IncompleteDetails(Struct, gc=False):
    reason: str | None = None


class _ReadResponse(Struct, kw_only=True, gc=False):
    id: str = ""
    model: str = ""
    status: str | None = None
    output: list[Raw] | None = None
    incomplete_details: _IncompleteDetails | None = None
    error: Raw = NOTHING
    usage: Raw = NOTHING
    service_tier: str | None = None


class _WholeResponse(_ReadResponse, kw_only=True, gc=False):
    output: list[Raw]


class _ReadEvent(Struct, kw_only=True, gc=False):
    type: str = ""
    response: Raw = NOTHING
    item: Raw = NOTHING
    part: Raw = NOTHING
    error: Raw = NOTHING
    output_index: int = 0
    content_index: int = 0
    summary_index: int = 0
    delta: Raw = NOTHING
    text: str = ""
    refusal: str = ""
    arguments: str = ""
    input: str = ""
    annotation: Raw = NOTHING
    annotation_index: int = -1
    logprobs: Raw = NOTHING


class _UrlCitation(Struct, gc=False):
    type: str = ""
    url: str = ""
    title: str | None = None
    start_index: int = 0
    end_index: int = 0


_EVENT = msgspec.json.Decoder(_ReadEvent)
_ITEM = msgspec.json.Decoder(_OutputItem)
_TYPE = msgspec.json.Decoder(_ItemType)
_RESPONSE = msgspec.json.Decoder(_ReadResponse)
_WHOLE = msgspec.json.Decoder(_WholeResponse)
_TEXT = msgspec.json.Decoder(str)
_CITATION = msgspec.json.Decoder(_UrlCitation)


class _Items:
    """The items of one answer, and how much of each has been read. A place is the index of an item, the kind of its
    part, and the index of that."""

    def __init__(self) -> None:
        self.is_refused = False
        self._read: dict[tuple[int, str, int], int] = {}  # characters of each text
        self._calls: dict[int, int] = {}  # the number of each call by the index of its item
        self._reasoned: set[int] = set()  # items whose reasoning has begun
        self._signed: set[int] = set()
        self._cited: dict[tuple[int, int], int] = {}
        self._starts: dict[tuple[int, int], int] = {}  # of each text, in characters of all of them
        self._characters = 0

    @property
    def has_calls(self) -> bool:
        return bool(self._calls)

    @property
    def are_read(self) -> bool:
        """Return whether any part of an item has been read."""
        return bool(self._read or self._calls or self._signed)

    def text(self, place: tuple[int, int], text: str, logprobs: Raw = NOTHING) -> list[Piece]:
        begins = self._begins(place[0], "text", place[1], text)
        kept = None if is_empty(logprobs) else logprobs
        self._starts.setdefault(place, self._characters)
        self._characters += len(text)
        return [TextPiece(text, begins, kept)] if text else []

    def refusal(self, place: tuple[int, int], text: str) -> list[Piece]:
        self.is_refused = True
        self._begins(place[0], "refusal", place[1], text)
        return [RefusalPiece(text)] if text else []

    def reasoning(self, kind: str, place: tuple[int, int], text: str) -> list[Piece]:
        """Return reasoning. The parts of one item are paragraphs of one block."""
        if not text:
            return []
        begins = place[0] not in self._reasoned
        is_paragraph = self._begins(place[0], kind, place[1], text) and not begins
        self._reasoned.add(place[0])
        return [ReasoningPiece(f"{PARAGRAPH}{text}" if is_paragraph else text, begins)]

    def begin_call(self, item: int, call: _OutputItem) -> list[Piece]:
        if item in self._calls:
            return []
        index = self._calls[item] = len(self._calls)
        return [ToolBegin(index, call.call_id or call.id or "", call.name, call.type == "custom_tool_call")]

    def arguments(self, item: int, text: str) -> list[Piece]:
        if not text or item not in self._calls:
            return []
        self._begins(item, "arguments", 0, text)
        return [ToolArguments(self._calls[item], text)]

    def citation(self, place: tuple[int, int], raw: Raw, number: int) -> list[Piece]:
        """Return a citation. `number` counts those of one text, and is -1 for the next."""
        count = self._cited.get(place, 0)
        if is_empty(raw) or -1 < number < count:
            return []
        self._cited[place] = count + 1
        web = read_or(_CITATION, raw, _UrlCitation())
        if web.type != "url_citation":
            return [CitationPiece(raw, NAME)]
        before = self._starts.get(place, self._characters)
        start, end = before + web.start_index, before + web.end_index
        return [CitationPiece(raw, NAME, url=web.url, title=web.title or "", start=start, end=end)]

    def rest_of(self, item: int, kind: str, index: int, whole: str) -> str:
        """Return the part of a text that has not been read yet."""
        return whole[self._read.get((item, kind, index), 0) :]

    def whole_item(self, index: int, item: _OutputItem) -> list[Piece]:
        """Return the parts of an item that have not been read yet."""
        pieces: list[Piece] = []
        if item.type in _CALLS:
            given = item.input if item.type == "custom_tool_call" else item.arguments
            pieces += self.begin_call(index, item)
            pieces += self.arguments(index, self.rest_of(index, "arguments", 0, given))
        elif item.type == "message":
            for number, part in enumerate(item.content or ()):
                pieces += self._part(index, number, part)
        elif item.type == "reasoning":
            for kind, parts in (("summary", item.summary), ("reasoning", item.content)):
                for number, part in enumerate(parts or ()):
                    pieces += self.reasoning(kind, (index, number), self.rest_of(index, kind, number, part.text))
            pieces += self._signature(index, item)
        return pieces

    def _part(self, item: int, number: int, part: _OutputPart) -> list[Piece]:
        place = (item, number)
        if part.type == "refusal":
            return self.refusal(place, self.rest_of(item, "refusal", number, part.refusal))
        rest = self.rest_of(item, "text", number, part.text)
        pieces = self.text(place, rest, part.logprobs if rest == part.text else NOTHING)
        for count, raw in enumerate(part.annotations):
            pieces += self.citation(place, raw, count)
        return pieces

    def _signature(self, index: int, item: _OutputItem) -> list[Piece]:
        if not item.encrypted_content or index in self._signed:
            return []
        self._signed.add(index)
        signature, origin = read_signature(item.encrypted_content, NAME)
        if origin == NAME:
            return [SignaturePiece(signature, origin, id=item.id or "")]
        is_redacted = signature.startswith(REDACTED)
        return [SignaturePiece(signature.removeprefix(REDACTED), origin, is_redacted)]

    def _begins(self, item: int, kind: str, index: int, text: str) -> bool:
        """Count characters. Return whether they are the first of their part."""
        place = (item, kind, index)
        count = self._read.get(place)
        self._read[place] = (count or 0) + len(text)
        return not count


class StreamReader:
    """A `PieceReader`."""

    def __init__(self) -> None:
        self._items = _Items()
        self._has_started = False

    def read(self, data: bytes, event: bytes) -> Sequence[Piece]:
        if data.strip() == b"[DONE]":  # some servers send it behind the last event
            return ()
        typed = read_leniently(_EVENT, data)
        kind = typed.type or _name(event)
        if kind in _ERRORS or not is_empty(typed.error):
            return [Failed(_error(typed, data))]
        pieces = self._start(typed) if not self._has_started else []
        if kind in _ENDS:
            pieces += _end(read_leniently(_RESPONSE, typed.response), self._items, kind)
        elif kind.startswith("response.output_item."):
            pieces += self._item(typed, is_done=kind.endswith(".done"))
        else:
            pieces += self._part(kind, typed)
        return pieces

    def _start(self, event: _ReadEvent) -> list[Piece]:
        if is_empty(event.response):
            return []
        response = read_leniently(_RESPONSE, event.response)
        self._has_started = True
        return [Start(response.id, response.model)]

    def _item(self, event: _ReadEvent, *, is_done: bool) -> list[Piece]:
        if is_empty(event.item) or not _is_read(event.item):
            return []
        item = read_leniently(_ITEM, event.item)
        if is_done:
            return self._items.whole_item(event.output_index, item)
        return self._items.begin_call(event.output_index, item) if item.type in _CALLS else []

    def _part(self, kind: str, event: _ReadEvent) -> list[Piece]:
        items, item = self._items, event.output_index
        place = (item, event.content_index)
        match kind:
            case "response.output_text.delta":
                return items.text(place, _delta(event), event.logprobs)
            case "response.output_text.done":
                return items.text(place, items.rest_of(item, "text", event.content_index, event.text))
            case "response.output_text.annotation.added":
                return items.citation(place, event.annotation, event.annotation_index)
            case "response.refusal.delta":
                return items.refusal(place, _delta(event))
            case "response.refusal.done":
                return items.refusal(place, items.rest_of(item, "refusal", event.content_index, event.refusal))
            case "response.reasoning_summary_text.delta":
                return items.reasoning("summary", (item, event.summary_index), _delta(event))
            case "response.reasoning_text.delta":
                return items.reasoning("reasoning", place, _delta(event))
            case "response.function_call_arguments.delta" | "response.custom_tool_call_input.delta":
                return items.arguments(item, _delta(event))
        return []  # the item repeats all other parts when it is done


def read_answer(body: bytes) -> Sequence[Piece]:
    """Return the pieces of a whole response. Raises one of `UNREADABLE`."""
    response = read_leniently(_WHOLE, body)
    if response.status in ("failed", "cancelled") or not is_empty(response.error):
        return [Failed(encode_object({"error": response.error}) if not is_empty(response.error) else body)]
    return [Start(response.id, response.model), *_end(response, _Items(), f"response.{response.status or 'completed'}")]


def _end(response: _ReadResponse, items: _Items, kind: str) -> list[Piece]:
    """Return the end of a response, and its items if none has come before. Some servers count them otherwise in a
    stream."""
    pieces: list[Piece] = []
    for index, raw in enumerate(() if items.are_read else response.output or ()):
        if _is_read(raw):
            pieces += items.whole_item(index, read_leniently(_ITEM, raw))
    usage = read_usage(response.usage, response.service_tier)
    if usage is not None:
        pieces.append(UsagePiece(usage))
    if kind in _ENDS:
        pieces.append(Finish(_reason(response, items, kind)))
    return [*pieces, Done()]


def _reason(response: _ReadResponse, items: _Items, kind: str) -> FinishReason:
    if kind == "response.incomplete":
        details = response.incomplete_details
        return _REASONS.get((details.reason if details is not None else None) or "", "length")
    if items.has_calls:
        return "tool_calls"
    return "refusal" if items.is_refused else "stop"


def _is_read(item: Raw) -> bool:
    """Return whether this is an item of the kinds that are read. Others may have fields of any type."""
    return read_leniently(_TYPE, item).type in {"message", "reasoning", *_CALLS}


def _delta(event: _ReadEvent) -> str:
    return "" if is_empty(event.delta) else read_leniently(_TEXT, event.delta)


def _error(event: _ReadEvent, data: bytes) -> bytes:
    """Return the error in an event: in `error`, in the response that has failed, or flat."""
    inner = event.error
    if is_empty(inner) and not is_empty(event.response):
        inner = read_leniently(_RESPONSE, event.response).error
    return data if is_empty(inner) else encode_object({"error": inner})


def _name(event: bytes) -> str:
    """Return the name of an event whose data have no type."""
    line = next((line for line in event.split(b"\n") if line.startswith(b"event:")), b"")
    return line[6:].strip().decode("ascii", "replace")
