"""The events of one answer and the items in them, as they are written.

https://platform.openai.com/docs/api-reference/responses-streaming
"""

from msgspec import Raw, Struct

from pointsman.domain.calls import Call
from pointsman.domain.outcomes import Usage
from pointsman.domain.pieces import Start
from pointsman.wire.dialects.openai_responses._response import Envelope
from pointsman.wire.json_object import encode_object


class OpenItem(Struct):
    """An item that is being written."""

    id: str
    index: int
    parts: list[dict[str, object]] = []  # that are complete
    texts: list[str] = []  # of a summary or of arguments


class OutputLog:
    """Collects events, or only items if the answer is not streamed. `reason` says why a response is incomplete."""

    def __init__(self, call: Call, now: float, *, is_streamed: bool) -> None:
        self._call = call
        self._now = now
        self._is_streamed = is_streamed
        self._out: list[bytes] = []
        self._number = 0
        self._envelope: Envelope | None = None
        self._items: list[dict[str, object]] = []  # by index; an open one is a draft
        self.usage: Usage | None = None
        self.reason: str | None = None

    def resume(self, number: int, response: dict[str, Raw], items: list[dict[str, object]]) -> None:
        """Go on with the events after `number`, for a response that has begun with these items."""
        self._number, self._items = number, items
        self._envelope = Envelope(self._call, self._now, Start())
        self._envelope.resume(response)

    def begin(self, start: Start) -> Envelope:
        """Return the envelope. The first call makes it and its events."""
        envelope = self._envelope
        if envelope is None:
            envelope = self._envelope = Envelope(self._call, self._now, start)
            for name in ("response.created", "response.in_progress"):
                self.emit(name, response=envelope.state("in_progress", []))
        return envelope

    @property
    def suffix(self) -> str:
        return self.begin(Start()).suffix

    @property
    def item_status(self) -> str:
        return "completed" if self.reason is None else "incomplete"

    def open(self, prefix: str, draft: dict[str, object]) -> OpenItem:
        """Begin an item whose id has this prefix."""
        index = len(self._items)
        opened = OpenItem(f"{prefix}_{self.suffix}_{index}", index)
        item = {"id": opened.id, **draft}
        self._items.append(item)
        self.emit("response.output_item.added", output_index=index, item=item)
        return opened

    def complete(self, opened: OpenItem, item: dict[str, object]) -> None:
        item = {"id": opened.id, **item}
        self._items[opened.index] = item
        self.emit("response.output_item.done", output_index=opened.index, item=item)

    def state(self, status: str, error: dict[str, object] | None = None) -> dict[str, object]:
        """Return the response as it is now."""
        envelope = self.begin(Start())
        return envelope.state(status, self._items, self.usage, reason=self.reason, error=error)

    def emit(self, kind: str, /, **fields: object) -> None:
        if self._is_streamed:
            event = {"type": kind, "sequence_number": self._number, **fields}
            self._out.append(b"event: %b\ndata: %b\n\n" % (kind.encode(), encode_object(event)))
            self._number += 1

    def take(self) -> bytes:
        """Return the events since the last call."""
        out, self._out = self._out, []
        return b"".join(out)
