"""An exchange without a socket. It records the data written to its client, and its end."""

from collections.abc import Callable
from time import monotonic

from pointsman.domain import failures
from pointsman.domain.failures import Failure, Rejection
from pointsman.engine.passage import AnswerPassage, Claim
from pointsman.engine.receiver import AnswerReceiver
from pointsman.transport.http_exchange import Exchange
from pointsman.transport.http_head import Head


class FakeClient:
    """The client's side of one exchange.

    While `is_write_paused`, the client is slow: data is still recorded, but `Exchange.write` returns false. `ended` is
    `finished`, `aborted`, `reset` or `disconnected`, and `None` during the answer.
    """

    peer: str | None = "127.0.0.1"
    certificate: bytes | None = None

    def __init__(self, *, closes: bool = False) -> None:
        self.written = b""
        self.ended: str | None = None
        self.is_write_paused = False
        self.is_body_paused = False
        self.held = 0  # body bytes that the reader holds back
        self.may_hold = 1 << 40
        self._closes = closes
        self._on_data: Callable[[bytes], None] | None = None
        self._on_end: Callable[[], None] | None = None
        self._pieces: list[bytes] = []  # body bytes not yet passed on
        self._has_all = False

    # Methods that the exchange calls on its connection.

    def must_close(self, head: Head) -> bool:
        return self._closes or not head.keep_alive

    def write(self, data: bytes) -> None:
        assert self.ended is None, "data was written after the end"
        self.written += data

    def finish(self, exchange: Exchange, data: bytes) -> None:
        self.write(data)
        self._end(exchange, "finished")

    def abandon(self, exchange: Exchange, *, with_reset: bool) -> None:
        self._end(exchange, "reset" if with_reset else "aborted")

    def read_body(self, on_data: Callable[[bytes], None], on_end: Callable[[], None]) -> None:
        self._on_data, self._on_end = on_data, on_end

    def count_buffered(self, size: int) -> None:
        if size > self.may_hold:
            raise Rejection(Failure(failures.OVERLOADED_GATEWAY, "too many bytes are held"))
        self.held = size

    def pause_body(self) -> None:
        self.is_body_paused = True

    def resume_body(self) -> None:
        self.is_body_paused = False
        self._pass_on()

    # Actions of a test on behalf of the client.

    def upload(self, *pieces: bytes, ends: bool = False) -> None:
        """Deliver pieces of a streamed body. Pieces that arrive during a pause are passed on after it."""
        self._pieces += pieces
        self._has_all = ends
        self._pass_on()

    def drain(self, exchange: Exchange) -> None:
        """Read all written data."""
        self.is_write_paused = False
        assert exchange.on_drain is not None, "the exchange does not wait for the client"
        exchange.on_drain()

    def disconnect(self, exchange: Exchange) -> None:
        """Disconnect before the end of the answer."""
        self._end(exchange, "disconnected")
        if exchange.on_cancel is not None:
            exchange.on_cancel()

    def _pass_on(self) -> None:
        assert self._on_data is not None, "the exchange does not read the body"
        while self._pieces and not self.is_body_paused:
            self._on_data(self._pieces.pop(0))
        if self._has_all and not self._pieces and not self.is_body_paused:
            self._has_all = False
            assert self._on_end is not None
            self._on_end()

    def _end(self, exchange: Exchange, how: str) -> None:
        assert self.ended is None, "the exchange ended twice"
        self.ended = how
        exchange.is_closed = True

    # Results.

    @property
    def head(self) -> bytes:
        return self.written.partition(b"\r\n\r\n")[0] + b"\r\n"

    @property
    def status(self) -> int:
        return int(self.written.split()[1])

    @property
    def headers(self) -> dict[bytes, bytes]:
        """The headers by lower-case name."""
        lines = (line.partition(b": ") for line in self.head.split(b"\r\n")[1:-1])
        return {name.lower(): value for name, _, value in lines}

    @property
    def body(self) -> bytes:
        """The received part of the body, without its framing."""
        rest = self.written.partition(b"\r\n\r\n")[2]
        if self.headers.get(b"transfer-encoding") != b"chunked":
            return rest
        body = b""
        while rest:
            size, _, rest = rest.partition(b"\r\n")
            body, rest = body + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
        return body


def claim_of(exchange: Exchange) -> Claim:
    """Return a `Claim` that begins the answer to an exchange without header lines."""

    def claim(receiver: AnswerPassage, length: int | None) -> Exchange:
        assert isinstance(receiver, AnswerReceiver)
        exchange.start(receiver.status or 200, b"", length)
        return exchange

    return claim


def request_head(
    method: str = "POST",
    target: str = "/v1/chat/completions",
    headers: dict[bytes, bytes] | None = None,
    *,
    is_http11: bool = True,
    keep_alive: bool = True,
) -> Head:
    """Build a head as the server parses it."""
    path, _, query = target.partition("?")
    return Head(
        method=method.encode(),
        target=target.encode(),
        path=path.encode(),
        query=query.encode(),
        headers=headers or {},
        is_http11=is_http11,
        keep_alive=keep_alive,
        expects_continue=False,
    )


def exchange_of(
    head: Head | None = None, body: bytes = b"", *, length: int | None = 0, closes: bool = False
) -> tuple[Exchange, FakeClient]:
    """Build an exchange and its client. `length` is that of a streamed body."""
    client = FakeClient(closes=closes)
    return Exchange(client, head or request_head(), body, len(body) if body else length, monotonic()), client
