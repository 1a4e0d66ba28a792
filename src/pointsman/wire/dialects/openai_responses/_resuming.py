"""Go on with a streamed response that broke off.

https://platform.openai.com/docs/api-reference/responses-streaming: events have consecutive numbers, items and their
parts keep their ids and indexes, and the last event repeats the whole response.
"""

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from pointsman.domain.calls import Call
from pointsman.wire.delivered import appended
from pointsman.wire.dialects.openai_responses._output_log import OpenItem
from pointsman.wire.dialects.openai_responses._shapes import FIELDS, NOTHING
from pointsman.wire.dialects.openai_responses.answer_writer import OpenPart, ResponseWriter
from pointsman.wire.json_object import is_empty, read_leniently, read_or
from pointsman.wire.thinking import requests_none
from pointsman.wire.translation import PieceWriter, Resuming

_DELTA = "response.output_text.delta"
_OBJECT = msgspec.json.Decoder(dict[str, object])


class _Event(Struct, kw_only=True, gc=False):
    type: str = ""
    sequence_number: int | None = None
    output_index: int = 0
    content_index: int = 0
    response: Raw = NOTHING
    item: Raw = NOTHING
    part: Raw = NOTHING
    delta: Raw = NOTHING


_EVENT = msgspec.json.Decoder(_Event)
_TEXT = msgspec.json.Decoder(str)


class ResponseResumption:
    """A `Resumption`. It keeps the response of the first event, the items, and the open part of a message."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._number = 0
        self._response: dict[str, Raw] = {}
        self._items: list[dict[str, object]] = []
        self._message: OpenItem | None = None
        self._part: OpenPart | None = None
        self._characters = 0

    def follow(self, data: bytes) -> None:
        event = read_leniently(_EVENT, data)
        self._number = self._number + 1 if event.sequence_number is None else event.sequence_number + 1
        match event.type:
            case "response.output_text.delta":
                text = read_leniently(_TEXT, event.delta)
                self._characters += len(text)
                if self._part is not None:
                    self._part.texts.append(text)
            case "response.created" if not is_empty(event.response):
                self._response = read_or(FIELDS, event.response, {})
            case "response.output_item.added":
                self._begin(event.output_index, read_leniently(_OBJECT, event.item))
            case "response.output_item.done":
                self._place(event.output_index, read_leniently(_OBJECT, event.item))
                self._message = None
            case "response.content_part.added" if self._message is not None:
                self._part = OpenPart("output_text", event.content_index, self._characters, [])
            case "response.content_part.done" if self._message is not None:
                self._message.parts.append(read_leniently(_OBJECT, event.part))
                self._part = None

    def writer(self) -> PieceWriter:
        message, part = self._message, self._part  # copies, since this object follows the events of the writer too
        found = ResponseWriter(self._call, 0.0)
        found.resume(
            self._number,
            self._response,
            [*self._items],
            message=None if message is None else replace(message, parts=[*message.parts]),
            part=None if part is None else replace(part, texts=[*part.texts]),
            characters=self._characters,
        )
        return found

    def _begin(self, index: int, item: dict[str, object]) -> None:
        self._place(index, item)
        self._part = None
        self._message = OpenItem(str(item.get("id", "")), index) if item.get("type") == "message" else None

    def _place(self, index: int, item: dict[str, object]) -> None:
        if index == len(self._items):
            self._items.append(item)
        elif 0 <= index < len(self._items):
            self._items[index] = item


def continued(fields: dict[str, Raw], text: str) -> dict[str, Raw]:
    """Return the fields of a request for the rest of an answer."""
    kept = {name: raw for name, raw in fields.items() if name != "reasoning" or requests_none(raw)}
    given = bytes(fields["input"])
    if given[:1] == b'"':
        given = b'[{"role":"user","content":%b}]' % given
    kept["input"] = appended(Raw(given), {"role": "assistant", "content": text})
    return kept


RESUMING = Resuming(follow=ResponseResumption, continued=continued)
