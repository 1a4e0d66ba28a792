"""One request and its answer, as a handler of the server uses them."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Protocol

from msgspec import Struct

from pointsman.transport.http_head import Head

_PHRASES = {status.value: status.phrase for status in HTTPStatus}
_STATUS_LINES = {code: f"HTTP/1.1 {code} {_PHRASES.get(code, '')}\r\n".encode() for code in range(100, 1000)}
_UNBOUNDED = -1  # the length of an answer that ends with the connection


def compose(status: int, headers: bytes, body: bytes, *, closes: bool, is_bodiless: bool) -> bytes:
    """Return a whole answer. `headers` are lines each ended by CRLF; `is_bodiless` is for requests by HEAD."""
    if not closes and not is_bodiless and status not in (204, 304):
        return b"%b%bContent-Length: %d\r\n\r\n%b" % (_STATUS_LINES[status], headers, len(body), body)
    length = b"" if status in (204, 304) else b"Content-Length: %d\r\n" % len(body)
    connection = b"Connection: close\r\n" if closes else b""
    if is_bodiless or status in (204, 304):
        body = b""
    return b"%b%b%b%b\r\n%b" % (_STATUS_LINES[status], headers, length, connection, body)


class Client(Protocol):
    """The interface of a connection that an exchange uses."""

    is_write_paused: bool

    @property
    def peer(self) -> str | None: ...
    def must_close(self, head: Head) -> bool: ...
    def write(self, data: bytes) -> None: ...
    def finish(self, exchange: "Exchange", data: bytes) -> None: ...
    def abandon(self, exchange: "Exchange", *, with_reset: bool) -> None: ...
    def read_body(self, on_data: Callable[[bytes], None], on_end: Callable[[], None]) -> None: ...
    def hold_body(self, size: int) -> None: ...
    def pause_body(self) -> None: ...
    def resume_body(self) -> None: ...


class Exchange(Struct, eq=False):
    """One request, and the means to answer it.

    `body` is the whole body, empty when it is streamed; `body_length` is `None` for a streamed body of unknown length.
    `received_at` is in monotonic seconds. The handler sets two callbacks. `on_cancel` is called once when the client
    disconnects before the answer has ended. It is also called when the server stops waiting for that end. Then the
    exchange is not `is_closed`, and the handler must end it at once. `on_drain` is called when output may go on after
    `write` returned false.

    Answer with `send`, or with `start`, `write` … and `end` or `abort`. The head leaves with the first piece. Once
    `is_closed` (answered to the end, aborted, or the client gone) all of these do nothing.
    """

    _connection: Client
    head: Head
    body: bytes
    body_length: int | None
    received_at: float
    on_cancel: Callable[[], None] | None = None
    on_drain: Callable[[], None] | None = None
    is_closed: bool = False
    is_started: bool = False
    closes: bool = False  # the connection ends with this answer
    _is_bodiless: bool = False
    _unwritten: int | None = None  # the rest of an announced length; None for a chunked answer
    _held: bytes = b""  # the head, until there is something to send it with

    @property
    def peer(self) -> str | None:
        """Return the client's address, as the socket shows it."""
        return self._connection.peer

    def send(self, status: int, headers: bytes, body: bytes) -> None:
        """Answer in one piece. `headers` are lines each ended by CRLF; Content-Length and Connection are added."""
        connection = self._connection
        if self.is_closed:
            return
        if self.is_started:
            raise RuntimeError("the answer has already been started")
        head = self.head
        self.is_started = True
        closes = connection.must_close(head)
        if closes:  # setting a field of a struct costs more than this check
            self.closes = True
        is_bodiless = head.method == b"HEAD"
        connection.finish(self, compose(status, headers, body, closes=closes, is_bodiless=is_bodiless))

    def start(self, status: int, headers: bytes, length: int | None = None) -> None:
        """Begin an answer that is written in pieces, of `length` bytes in all, or of any length if that is None.
        Nothing is sent yet."""
        connection = self._connection
        if self.is_closed:
            return
        if self.is_started:
            raise RuntimeError("the answer has already been started")
        self.is_started = True
        self.closes = connection.must_close(self.head)
        self._is_bodiless = self.head.method == b"HEAD" or status in (204, 304)
        framing = b""
        if length is not None:
            self._unwritten = length
            framing = b"Content-Length: %d\r\n" % length if status != 204 else b""
        elif self.head.is_http11:
            framing = b"" if status in (204, 304) else b"Transfer-Encoding: chunked\r\n"
        else:
            self._unwritten = _UNBOUNDED
        if self.closes:
            framing += b"Connection: close\r\n"
        self._held = b"%b%b%b\r\n" % (_STATUS_LINES[status], headers, framing)

    def write(self, data: bytes) -> bool:
        """Send a piece of a started answer. If this returns false, wait for `on_drain` before writing more."""
        connection = self._connection
        if self.is_closed or not data:
            return True
        if not self.is_started:
            raise RuntimeError("the answer has not been started")
        if self._is_bodiless:
            return True
        if self._unwritten is None:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        elif self._unwritten != _UNBOUNDED:
            if len(data) > self._unwritten:
                raise RuntimeError("the answer is longer than its announced length")
            self._unwritten -= len(data)
        if self._held:
            data = self._held + data
            self._held = b""
        connection.write(data)
        return not connection.is_write_paused

    def end(self) -> None:
        """Complete the answer. One shorter than announced is cut off instead, as by `abort`."""
        if self.is_closed:
            return
        if not self.is_started:
            raise RuntimeError("the answer has not been started")
        rest = self._held
        if not self._is_bodiless:
            if self._unwritten is None:
                rest += b"0\r\n\r\n"
            elif self._unwritten not in (0, _UNBOUNDED):
                self.abort()
                return
        self._connection.finish(self, rest)

    def abort(self) -> None:
        """End the connection so that the client cannot take the answer for whole. Written bytes still arrive, unless
        only the end of the connection marks the end of the answer."""
        if not self.is_closed:
            if self._held:
                self._connection.write(self._held)
            self._connection.abandon(self, with_reset=self._unwritten == _UNBOUNDED)

    def read_body(self, on_data: Callable[[bytes], None], on_end: Callable[[], None]) -> None:
        """Read a streamed body. Bytes that have arrived are delivered before this returns, perhaps with the end."""
        if not self.is_closed:
            self._connection.read_body(on_data, on_end)

    def hold_body(self, size: int) -> None:
        """Count `size` bytes of a streamed body as held back by its reader, in place of the earlier count. Raises
        `Rejection` when the gateway holds as many as it can."""
        if not self.is_closed:
            self._connection.hold_body(size)

    def pause_body(self) -> None:
        """Stop the delivery of the body for now."""
        if not self.is_closed:
            self._connection.pause_body()

    def resume_body(self) -> None:
        if not self.is_closed:
            self._connection.resume_body()
