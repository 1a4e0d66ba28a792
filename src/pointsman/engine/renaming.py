"""Puts the requested model's name into answers, whichever provider served them (`response_model: requested`)."""

from pointsman.domain.calls import Call
from pointsman.domain.messages import Headers
from pointsman.engine.sink import Sink
from pointsman.wire.answered_model import RenamedEvents, renamed
from pointsman.wire.public_names import requested_name


class Renaming:
    """A sink that replaces the model's name in events and in JSON, and writes to another sink. Other bodies pass
    unchanged."""

    def __init__(self, sink: Sink, model: str, headers: Headers) -> None:
        """`headers` are those of the provider's answer."""
        self._sink = sink
        self._model = model
        self._content_type = headers.get(b"content-type", b"").lower()
        self._events: RenamedEvents | None = None

    @property
    def _is_stream(self) -> bool:
        return self._content_type.startswith(b"text/event-stream")

    def send(self, status: int, headers: bytes, body: bytes) -> None:
        if self._is_stream:
            events = RenamedEvents(self._model)
            body = events.feed(body) + events.close()
        elif b"json" in self._content_type:
            body = renamed(body, self._model)
        self._sink.send(status, headers, body)

    def start(self, status: int, headers: bytes, length: int | None = None) -> None:
        if length is None and self._is_stream:  # an answer with an announced length stays as it is
            self._events = RenamedEvents(self._model)
        self._sink.start(status, headers, length)

    def write(self, data: bytes) -> bool:
        return self._sink.write(data if self._events is None else self._events.feed(data))

    def end(self) -> None:
        if self._events is not None and (rest := self._events.close()):
            self._sink.write(rest)
        self._sink.end()

    def abort(self) -> None:
        self._sink.abort()


def renaming_for(call: Call, sink: Sink, headers: Headers) -> Renaming:
    """Return the renaming to the name that the client of a call wrote."""
    return Renaming(sink, requested_name(call), headers)
