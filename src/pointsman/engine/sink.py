"""The interface that an answer is written to."""

from typing import Protocol

from pointsman.domain.calls import Call
from pointsman.wire.dialects import DIALECTS
from pointsman.wire.event_list import EventList

_EVENTS = b"content-type: text/event-stream; charset=utf-8\r\n"
_LIST = b"content-type: application/json; charset=utf-8\r\n"


class Sink(Protocol):
    """An answer is sent whole, or started, written in pieces, and then ended or aborted. The sink in
    `transport.http_exchange` leads to the client. Other sinks write to another sink, and change or copy the answer."""

    def send(self, status: int, headers: bytes, body: bytes) -> None:
        """Send the whole answer. `headers` are lines that each end with CRLF."""

    def start(self, status: int, headers: bytes, length: int | None = None) -> None:
        """Begin an answer of `length` bytes, or of unknown length."""

    def write(self, data: bytes) -> bool:
        """Write a piece. Return false if the next piece must wait until the client has caught up."""
        ...

    def end(self) -> None:
        """Complete the answer."""

    def abort(self) -> None:
        """Abort the answer, so that its client does not take it for complete."""


class ListedEvents:
    """A sink that writes the events of a stream as the elements of one JSON list, to another sink. Other bodies pass
    unchanged."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._list: EventList | None = None

    def send(self, status: int, headers: bytes, body: bytes) -> None:
        if _EVENTS in headers:
            events = EventList()
            headers, body = headers.replace(_EVENTS, _LIST), events.feed(body) + events.close()
        self._sink.send(status, headers, body)

    def start(self, status: int, headers: bytes, length: int | None = None) -> None:
        if _EVENTS in headers:
            self._list = EventList()
            headers, length = headers.replace(_EVENTS, _LIST), None
        self._sink.start(status, headers, length)

    def write(self, data: bytes) -> bool:
        if self._list is None:
            return self._sink.write(data)
        out = self._list.feed(data)
        return self._sink.write(out) if out else True

    def end(self) -> None:
        if self._list is not None:
            self._sink.write(self._list.close())
        self._sink.end()

    def abort(self) -> None:
        self._sink.abort()


def sink_to_client(sink: Sink, call: Call) -> Sink:
    """Return the sink that leads to the client of a call by `sink`, in the form that the client takes."""
    lists_events = DIALECTS[call.head.dialect].lists_events
    return ListedEvents(sink) if lists_events is not None and lists_events(call) else sink
