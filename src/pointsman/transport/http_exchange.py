"""The interface by which a handler of the server reads one request and answers it."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Protocol

from msgspec import Struct

from pointsman.transport.http_head import Head

_PHRASES = {status.value: status.phrase for status in HTTPStatus}
_STATUS_LINES = {code: f"HTTP/1.1 {code} {_PHRASES.get(code, '')}\r\n".encode() for code in range(100, 1000)}
_UNBOUNDED = -1  # the length of an answer whose end is the end of the connection


def compose(status: int, headers: bytes, body: bytes, *, closes: bool, is_bodiless: bool) -> bytes:
    """Return the bytes of a whole answer. Each line of `headers` ends with CRLF. `is_bodiless` is for HEAD requests."""
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
    @property
    def certificate(self) -> bytes | None: ...
    def must_close(self, head: Head) -> bool: ...
    def write(self, data: bytes) -> None: ...
    def finish(self, exchange: "Exchange", data: bytes) -> None: ...
    def abandon(self, exchange: "Exchange", *, with_reset: bool) -> None: ...
    def read_body(self, on_data: Callable[[bytes], None], on_end: Callable[[], None]) -> None: ...
    def count_buffered(self, size: int) -> None: ...
    def pause_body(self) -> None: ...
    def resume_body(self) -> None: ...


class Exchange(Struct, eq=False):
    """One request, and the methods to answer it.

    `body` is the whole body, or empty if it is streamed. `body_length` is `None` for a streamed body of unknown length.
    `received_at` is in monotonic seconds. The handler sets two callbacks. `on_cancel` is called once if the client
    disconnects before the answer has ended. It is also called if the server stops waiting for that end. In this case
    `is_closed` is false, and the handler must end the answer at once. `on_drain` is called when output may go on after
    `write` returned false.

    Answer with `send`, or with `start`, any number of `write`, and `end` or `abort`. The head is sent with the first
    piece. After the answer has ended or the client has disconnected, `is_closed` is true and these methods do nothing.
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
    _unwritten: int | None = None  # the rest of the announced length, or `None` for a chunked answer
    _unsent_head: bytes = b""  # the head, until it is sent with the first piece

    @property
    def peer(self) -> str | None:
        """Return the client's address, from the socket."""
        return self._connection.peer

    @property
    def certificate(self) -> bytes | None:
        """Return the verified certificate that the client presented when it connected, in DER."""
        return self._connection.certificate

    def send(self, status: int, headers: bytes, body: bytes) -> None:
        """Answer in one piece. Each line of `headers` ends with CRLF. Content-Length and Connection are added."""
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
        """Begin an answer in pieces, of `length` bytes in all, or of any length if that is `None`. Nothing is sent
        yet."""
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
        self._unsent_head = b"%b%b%b\r\n" % (_STATUS_LINES[status], headers, framing)

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
        if self._unsent_head:
            data = self._unsent_head + data
            self._unsent_head = b""
        connection.write(data)
        return not connection.is_write_paused

    def end(self) -> None:
        """Complete the answer. If it is shorter than announced, abort it instead."""
        if self.is_closed:
            return
        if not self.is_started:
            raise RuntimeError("the answer has not been started")
        rest = self._unsent_head
        if not self._is_bodiless:
            if self._unwritten is None:
                rest += b"0\r\n\r\n"
            elif self._unwritten not in (0, _UNBOUNDED):
                self.abort()
                return
        self._connection.finish(self, rest)

    def abort(self) -> None:
        """End the connection so that the client sees an incomplete answer. If the end of the connection would mark a
        complete answer, reset it, which may lose written bytes. Otherwise they still arrive."""
        if not self.is_closed:
            if self._unsent_head:
                self._connection.write(self._unsent_head)
            self._connection.abandon(self, with_reset=self._unwritten == _UNBOUNDED)

    def read_body(self, on_data: Callable[[bytes], None], on_end: Callable[[], None]) -> None:
        """Read a streamed body. Bytes that have arrived are delivered before this method returns, possibly up to the
        end."""
        if not self.is_closed:
            self._connection.read_body(on_data, on_end)

    def count_buffered(self, size: int) -> None:
        """Set the number of bytes of the body that its reader has in memory. Raise `Rejection` if the gateway's memory
        for bodies is exhausted."""
        if not self.is_closed:
            self._connection.count_buffered(size)

    def pause_body(self) -> None:
        """Stop the delivery of the body for now."""
        if not self.is_closed:
            self._connection.pause_body()

    def resume_body(self) -> None:
        if not self.is_closed:
            self._connection.resume_body()
