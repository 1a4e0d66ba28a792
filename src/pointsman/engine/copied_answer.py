"""The copy of an answer on its way to a client, and the exchange of a copied request, which has no client."""

from collections.abc import Callable

from pointsman.engine.sink import Sink
from pointsman.transport.http_exchange import Exchange
from pointsman.transport.http_head import Head

MOST_BYTES = 256 * 1024  # of an answer: a longer one is not compared


class AnswerCopy:
    """The body of an answer, as long as it is short enough. `is_whole` is true once the answer is complete."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0
        self.is_whole = False

    def add(self, data: bytes) -> None:
        """Add a piece."""
        self._size += len(data)
        if self._size <= MOST_BYTES:
            self._pieces.append(data)
        else:
            self._pieces.clear()

    def tee(self, sink: Sink) -> Sink:
        """Return a sink that writes to another one, and to this copy."""
        return _Tee(sink, self)

    @property
    def body(self) -> bytes | None:
        """The whole body; `None` if it is incomplete or too long."""
        return b"".join(self._pieces) if self.is_whole and self._size <= MOST_BYTES else None


class _Tee:
    def __init__(self, sink: Sink, copy: AnswerCopy) -> None:
        self._sink = sink
        self._copy = copy

    def send(self, status: int, headers: bytes, body: bytes) -> None:
        self._copy.add(body)
        self._copy.is_whole = True
        self._sink.send(status, headers, body)

    def start(self, status: int, headers: bytes, length: int | None = None) -> None:
        self._sink.start(status, headers, length)

    def write(self, data: bytes) -> bool:
        self._copy.add(data)
        return self._sink.write(data)

    def end(self) -> None:
        self._copy.is_whole = True
        self._sink.end()

    def abort(self) -> None:
        self._sink.abort()


def exchange_like(original: Exchange, now: float) -> Exchange:
    """Return an exchange with the head of another one. Whatever is written to it is dropped."""
    return Exchange(_NoClient(original.peer), original.head, b"", None, now)


class _NoClient:
    is_write_paused = False

    def __init__(self, peer: str | None) -> None:
        self.peer = peer

    def must_close(self, head: Head) -> bool:  # noqa: ARG002
        return False

    def write(self, data: bytes) -> None: ...

    def finish(self, exchange: Exchange, data: bytes) -> None: ...

    def abandon(self, exchange: Exchange, *, with_reset: bool) -> None: ...

    def read_body(self, on_data: Callable[[bytes], None], on_end: Callable[[], None]) -> None: ...

    def count_buffered(self, size: int) -> None: ...

    def pause_body(self) -> None: ...

    def resume_body(self) -> None: ...
