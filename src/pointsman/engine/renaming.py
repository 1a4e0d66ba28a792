"""Answers that name the model which was asked for, whoever served it (`response_model: requested`)."""

from pointsman.domain.messages import Headers
from pointsman.engine.receiver import Output
from pointsman.wire.answered_model import RenamedEvents, renamed


class Renaming:
    """An `Output` in front of another. Events and JSON are renamed; whatever else passes unchanged."""

    def __init__(self, output: Output, model: str) -> None:
        self._output = output
        self._model = model
        self._events: RenamedEvents | None = None

    def begin(self, headers: Headers, length: int | None) -> None:
        """A streamed answer begins. One whose length is announced stays as it is."""
        if length is None and _is_of(headers, b"text/event-stream"):
            self._events = RenamedEvents(self._model)

    def write(self, data: bytes) -> bool:
        return self._output.write(data if self._events is None else self._events.feed(data))

    def end(self) -> None:
        if self._events is not None and (rest := self._events.close()):
            self._output.write(rest)
        self._output.end()

    def whole(self, headers: Headers, body: bytes) -> bytes:
        """An answer that is sent in one piece."""
        if _is_of(headers, b"text/event-stream"):
            events = RenamedEvents(self._model)
            return events.feed(body) + events.close()
        return renamed(body, self._model) if b"json" in headers.get(b"content-type", b"") else body


def _is_of(headers: Headers, kind: bytes) -> bool:
    return headers.get(b"content-type", b"").lower().startswith(kind)
