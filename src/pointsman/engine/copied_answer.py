"""The copy of an answer on its way to a client, and the exchange of a copied request, which has no client."""

from collections.abc import Callable

from pointsman.engine.sink import Sink
from pointsman.transport.http_exchange import Exchange
from pointsman.transport.http_head import Head

MOST_BYTES = 256 * 1024  # of an answer: a longer one is not compared


class AnswerCopy:
    """The body of an answer, if it has at most `most` bytes; with `is_cut`, the beginning of a longer one. `is_whole`
    is true once the answer is complete. `size` counts its bytes, and `kept` those in memory."""

    def __init__(self, most: int = MOST_BYTES, *, is_cut: bool = False) -> None:
        self._most = most
        self._is_cut = is_cut
        self._pieces: list[bytes] = []
        self.size = self.kept = 0
        self.is_whole = False

    def add(self, data: bytes) -> None:
        """Add a piece."""
        self.size += len(data)
        if self.size <= self._most:
            self._pieces.append(data)
            self.kept = self.size
        elif self._is_cut:
            if self.kept < self._most:
                self._pieces.append(data[: self._most - self.kept])
                self.kept = self._most
        else:
            self._pieces.clear()
            self.kept = 0

    def tee(self, sink: Sink) -> Sink:
        """Return a sink that writes to another one, and to this copy."""
        return _Tee(sink, self)

    @property
    def body(self) -> bytes | None:
        """The whole body; `None` if it is incomplete or too long."""
        return b"".join(self._pieces) if self.is_whole and self.size <= self._most else None

    @property
    def beginning(self) -> bytes:
        """The bytes in memory."""
        return b"".join(self._pieces)


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
    certificate = None

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
