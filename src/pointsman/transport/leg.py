"""A leg: one request to a provider and its answer. The engine may pause or cancel it, and move its deadline."""

import logging
from collections.abc import Callable
from typing import Protocol

from pointsman.domain import failures
from pointsman.domain.failures import Kind
from pointsman.domain.messages import Headers, UpstreamRequest
from pointsman.transport.errors import TransportFailure

MAX_JOINED_BYTES = 256 * 1024

_logger = logging.getLogger(__name__)


class ResponseHandler(Protocol):
    """Receives one answer: `on_head`, any number of `on_data`, then exactly one of `on_end` and `on_failure`.

    A failure may come at any point, even before the head. Nothing is called before the sending function has returned,
    after `Leg.cancel`, or after the last call. An exception that the handler raises is logged and ends the leg. If the
    answer had not ended yet, `on_failure` follows.
    """

    def on_head(self, status: int, headers: Headers) -> None:
        """Receive the final status (200 to 599) and the headers, which the handler may change. Interim answers are not
        reported. If a content encoding is decoded, `content-encoding` and `content-length` are removed."""

    def on_data(self, data: bytes) -> None:
        """Receive the next bytes of the body, decoded and never empty."""

    def on_end(self) -> None:
        """Handle the end of a complete answer."""

    def on_failure(self, failure: TransportFailure) -> None:
        """Handle a failure. No more of the answer will follow."""


class Carrier(Protocol):
    """A leg's connection, or its place in the queue for one."""

    def watch(self) -> None: ...

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def cancel(self) -> None: ...

    def write_upload(self, data: bytes) -> bool: ...


class Leg:
    """One request and its answer.

    `deadline` (monotonic seconds) may be assigned at any time. Call `watch` after moving it to an *earlier* time. When
    the deadline passes, the leg fails with `timeout_kind` and its connection is closed.
    """

    timeout_kind: Kind = failures.COMMIT_TIMEOUT
    was_sent = False  # a connection has the request, or the first part of it
    carrier: Carrier | None = None
    on_writable: Callable[[], None] | None = None

    def __init__(self, request: UpstreamRequest, handler: ResponseHandler, deadline: float) -> None:
        self.request = request
        self.handler: ResponseHandler | None = handler  # None once the leg has ended
        self.deadline = deadline
        self.is_paused = False
        self.is_uploading = False  # a part of the request body is not written yet

    def watch(self) -> None:
        """Make the timer check a deadline that was moved to an earlier time."""
        if self.carrier is not None:
            self.carrier.watch()

    def pause(self) -> None:
        """Stop reading the answer. At most the bytes of one more read are still delivered."""
        if not self.is_paused and self.handler is not None:
            self.is_paused = True
            if self.carrier is not None:
                self.carrier.pause()

    def resume(self) -> None:
        """Go on reading. Waiting bytes may be delivered before this method returns."""
        if self.is_paused:
            self.is_paused = False
            if self.carrier is not None:
                self.carrier.resume()

    def cancel(self) -> None:
        """Cancel the request and close its connection, in any phase. The handler is not called afterwards."""
        self.handler = None
        carrier = self.carrier
        if carrier is not None:
            self.carrier = None
            carrier.cancel()

    def invite(self) -> None:
        """Notify the sender of a body that the connection can take more of it."""
        if self.on_writable is None or not self.is_uploading:
            return
        try:
            self.on_writable()
        except Exception:  # an error of the sender must end its request alone
            _logger.exception("the sender of a request body raised an exception")
            if self.carrier is not None:
                self.carrier.cancel()
            self.fail(failures.INTERNAL, "an internal error of the gateway stopped the request body", was_sent=True)

    def fail(self, kind: Kind, message: str, *, was_sent: bool) -> None:
        """End the leg with a failure, and notify its handler. Its connection must have released it before."""
        handler, self.handler, self.carrier = self.handler, None, None
        try:
            if handler is not None:
                handler.on_failure(TransportFailure(kind, message, was_sent))
        except Exception:  # an error of the handler must not stop the clean-up
            _logger.exception("the handler of a failed request raised an exception")

    def message(self, request_line_end: bytes) -> bytes:
        """Return the request as bytes, or the available part of it. A body of more than `MAX_JOINED_BYTES` is left out,
        for the caller to write it after this. `request_line_end` is the rest of the request line and the Host
        header."""
        self.was_sent = True
        request = self.request
        body = request.body
        if body:
            return b"%b %b%b%bContent-Length: %d\r\n\r\n%b" % (
                request.method,
                request.target,
                request_line_end,
                request.headers,
                len(body),
                body if len(body) <= MAX_JOINED_BYTES else b"",
            )
        length = b"Content-Length: 0\r\n\r\n" if request.method in _WITH_BODY else b"\r\n"
        return b"%b %b%b%b%b" % (request.method, request.target, request_line_end, request.headers, length)

    @property
    def is_replayable(self) -> bool:
        """Return whether the whole request can and may be sent again."""
        return self.request.is_replayable


_WITH_BODY = (b"POST", b"PUT", b"PATCH")


class UploadLeg(Leg):
    """A request whose body is written in pieces. `length` is its size in bytes; with `None` the body is sent chunked.

    `on_writable` is called when a connection is open. It is called again each time more may be written after
    `write_body` returned false.
    """

    def __init__(self, request: UpstreamRequest, handler: ResponseHandler, deadline: float, length: int | None) -> None:
        super().__init__(request, handler, deadline)
        self.is_uploading = True
        self._length = length
        self._missing = length or 0
        self._waiting: list[bytes] | None = []  # until there is a connection

    def write_body(self, data: bytes) -> bool:
        """Send the next bytes. If this returns false, they are accepted, but wait for `on_writable` before the next
        call.

        After the leg has ended, the bytes are dropped and the result is true. Raises `ValueError` for more bytes than
        were announced.
        """
        if self.handler is None or not data:
            return True
        if self._length is None:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        elif len(data) > self._missing:
            raise ValueError("the body is longer than its announced length")
        else:
            self._missing -= len(data)
        return self._write(data)

    def end_body(self) -> None:
        """Complete the body. Raises `ValueError` if announced bytes are missing."""
        if self.handler is None or not self.is_uploading:
            return
        if self._missing:
            raise ValueError(f"the body is {self._missing} bytes shorter than its announced length")
        if self._length is None:
            self._write(b"0\r\n\r\n")
        self.is_uploading = False

    def message(self, request_line_end: bytes) -> bytes:
        """Return the head, and the body written so far. From now on `write_body` sends its bytes at once."""
        self.was_sent = True
        request = self.request
        chunked = b"Transfer-Encoding: chunked"
        framing = chunked if self._length is None else b"Content-Length: %d" % self._length
        head = b"%b %b%b%b%b\r\n\r\n" % (request.method, request.target, request_line_end, request.headers, framing)
        waiting, self._waiting = self._waiting or [], None
        return b"".join([head, *waiting])

    @property
    def is_replayable(self) -> bool:
        """Return false, because written bytes are not kept."""
        return False

    def _write(self, data: bytes) -> bool:
        if self._waiting is not None:
            self._waiting.append(data)
            return False
        return self.carrier is None or self.carrier.write_upload(data)
