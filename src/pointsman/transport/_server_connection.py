"""One client's connection: finds the requests in what arrives, and hands each to the handler as an `Exchange`.

Requests on a connection are served one after the other; what arrives meanwhile waits in a buffer. Reading goes on
while a request is served, as a paused socket hides that the client went away. Only a streamed request body can pause
it; then the state of the socket is polled.

The hot path is short: a read that holds one whole request with a head seen before goes from `data_received` through
the memo to the handler (see `http_head`). Everything else is gathered in `_buffer` and taken from there piece by piece.
"""

import asyncio
import logging
from collections.abc import Callable
from time import monotonic
from typing import cast

from pointsman.domain import failures
from pointsman.domain.failures import Failure, Refusal
from pointsman.transport._bodies import Chunked, Fixed, Upload, next_due, too_large
from pointsman.transport._server_parts import Shared, worded
from pointsman.transport._sockets import end_writing, is_peer_gone, peer_of, reset_on_close, set_reading
from pointsman.transport.deadlines import NEVER
from pointsman.transport.http_exchange import Exchange, compose
from pointsman.transport.http_head import CHUNKED, BodyMode, Head, KnownHead, check_part

_logger = logging.getLogger(__name__)

_BUFFER = BodyMode.BUFFER  # looking up a member of an Enum costs the hot path more than a global
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_POLL_S = 0.02  # so, due at the next tick of the shared timer
_LINGER_S = 2.0
_LINGER_BYTES = 1 << 20
_FRESH_S = 1.0  # how long a draining server waits for the first request of a connection

# The phases of a connection.
_IDLE = 0  # between requests and nothing buffered: the next read begins with a head
_PENDING = 1  # between requests; a part of the next is buffered, or output must drain before it may begin
_BODY = 2  # a body is being collected
_STREAMING = 3  # a request is being served while its body arrives
_SERVING = 4  # a request is being served, all of it is here
_CLOSING = 5  # the last answer is written; what still arrives is dropped
_CLOSED = 6

_INTERNAL = Failure(failures.INTERNAL, "the gateway failed to serve the request")
_ENDING = Failure(failures.SHUTTING_DOWN, "the gateway is shutting down", retry_after_s=1.0)


class Connection(asyncio.Protocol):
    """The protocol of one connection; see the module's docstring. `deadline` and `watched_until` are those of
    `deadlines.Expiring`."""

    __slots__ = (
        "_buffer", "_chunked", "_collected", "_exchange", "_handler", "_head", "_held", "_is_fresh",
        "_is_reading_paused", "_known", "_length", "_memo", "_phase", "_scanned", "_shared", "_since", "_transport",
        "_unsent", "_upload", "_write_due", "deadline", "is_write_paused", "peer", "watched_until",
    )  # fmt: skip

    def __init__(self, shared: "Shared[Connection]") -> None:
        self._shared = shared
        self._handler = shared.handler
        self._memo = shared.memo
        self._known: KnownHead | None = None  # of the request before: most likely the next one's, too
        self._transport: asyncio.Transport
        self._phase = _IDLE
        self._is_fresh = True  # has not carried a request yet
        self._buffer = bytearray()
        self._scanned = 0  # bytes of the buffer known to hold no end of a head; of those dropped, when closing
        self._exchange: Exchange | None = None
        self._head: Head  # of the request whose body is collected
        self._length = 0  # of that body, or CHUNKED
        self._since = 0.0  # when that body was begun
        self._chunked: Chunked | None = None
        self._collected = bytearray()  # what a chunked body has come to
        self._held = 0  # bytes counted in `Shared.body_memory`
        self._upload: Upload | None = None
        self._is_reading_paused = False
        self.is_write_paused = False
        self._write_due = NEVER  # when a client that takes nothing is cut off
        self._unsent = 0
        self.deadline = self.watched_until = NEVER

    # What the transport tells us.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.peer = peer_of(transport)
        shared = self._shared
        limits = shared.limits
        self._transport.set_write_buffer_limits(high=limits.write_buffer_bytes)
        shared.connections.add(self)
        if len(shared.connections) > limits.max_connections:
            self._refuse(Failure(failures.OVERLOADED_GATEWAY, "too many connections", retry_after_s=1.0))
        else:
            self._limit(limits.head_timeout_s)

    def data_received(self, data: bytes) -> None:
        phase = self._phase
        if phase == _IDLE:
            known = self._known
            found = known.measure(data) if known is not None else None
            if found is None:
                memo = self._memo
                another = memo.find_like(data, known) if known is not None else None
                if another is None:
                    another = memo.find(data, data.find(b"\r\n\r\n") + 4)
                self._known = known = another
                found = known.measure(data) if known is not None else None
            if known is not None and found is not None and known.head.mode is _BUFFER:
                end, length = found
                shared = self._shared
                limits = shared.limits
                may_hold = length <= limits.body_bytes and shared.body_memory + length <= limits.body_memory_bytes
                if may_hold and end + length == len(data):
                    self._serve(known.head, data[end:], length)
                    return
            self._phase = _PENDING
            if known is not None or not self._begin_new(data):
                self._buffer += data
                self._advance()
            if self._phase == _PENDING:
                self._limit(self._shared.limits.head_timeout_s, may_extend=False)
        elif phase == _CLOSING:
            self._scanned += len(data)
            if self._scanned > _LINGER_BYTES:
                self._transport.abort()
        elif phase != _CLOSED:
            self._buffer += data
            self._go_on()

    def eof_received(self) -> None:
        # A client that closes its sending side counts as gone. Returning nothing closes the transport, which first
        # writes what is pending: a request answered just now still gets its answer.
        if self._exchange is not None:
            self.cut()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- gone is gone
        self._phase = _CLOSED
        self.deadline = NEVER
        self._buffer = bytearray()
        self._collected = bytearray()
        shared = self._shared
        shared.connections.discard(self)
        self._disconnect()
        if not shared.connections and shared.on_empty is not None:
            shared.on_empty()

    def pause_writing(self) -> None:
        self.is_write_paused = True
        if self._phase == _IDLE:
            self._phase = _PENDING
        self._unsent = self._transport.get_write_buffer_size()
        self._write_due = monotonic() + self._shared.limits.write_timeout_s
        self.deadline = min(self.deadline, self._write_due)
        self._shared.deadlines.watch(self)

    def resume_writing(self) -> None:
        self.is_write_paused = False
        self._write_due = NEVER
        if self._phase == _PENDING:
            self._limit(self._shared.limits.idle_timeout_s)
            self._advance()
        elif self._exchange is not None and self._exchange.on_drain is not None:
            self._call(self._exchange.on_drain)

    def expired(self, now: float) -> None:
        """A time limit has passed; which one depends on the phase."""
        phase = self._phase
        if now >= self._write_due:
            unsent = self._transport.get_write_buffer_size()
            if unsent >= self._unsent:
                self.cut()
                return
            self._unsent = unsent
            self._write_due = now + self._shared.limits.write_timeout_s
        if phase == _STREAMING:
            self._check_upload(now)
        elif self.is_write_paused:
            self.deadline = self._write_due
        elif phase == _IDLE:
            self._close()
        elif phase == _CLOSING:
            unsent = self._transport.get_write_buffer_size()
            if 0 < unsent < self._unsent:
                self._unsent = unsent
                self.deadline = now + self._shared.limits.write_timeout_s
            else:
                self._transport.abort()
        elif phase in (_PENDING, _BODY):
            self._refuse(Failure(failures.REQUEST_TIMEOUT, "the request did not arrive in time"))
        else:
            self.deadline = NEVER

    # Finding requests.

    def _go_on(self) -> None:
        """The buffer has grown."""
        phase = self._phase
        if phase == _BODY:
            try:
                self._collect()
            except Refusal as refusal:
                self._refuse(refusal.failure)
        elif phase == _STREAMING:
            self._deliver()
        elif phase == _PENDING and not self.is_write_paused:
            self._advance()
        elif phase < _CLOSING and len(self._buffer) > self._shared.limits.pipeline_bytes:
            self.cut()

    def _advance(self) -> None:
        """Begin the next request, if its head is here and the last answer has gone out."""
        buffer = self._buffer
        if self._phase != _PENDING or self.is_write_paused:
            return
        while buffer.startswith(b"\r\n"):  # empty lines before a request are to be ignored
            del buffer[:2]
        if not buffer:
            self._phase = _IDLE
            return
        end = buffer.find(b"\r\n\r\n", self._scanned) + 4
        try:
            if not 4 <= end <= self._shared.limits.head_bytes:
                self._scanned = check_part(buffer, self._scanned, end, self._shared.limits.head_bytes)
                return
            raw = bytes(buffer[:end])
            del buffer[:end]
            self._scanned = 0
            self._begin(*self._memo.read(raw))
        except Refusal as refusal:
            self._refuse(refusal.failure)

    def _begin_new(self, data: bytes) -> bool:
        """Begin a request whose head is all here, but not known. False where it is not, or is not a good one."""
        end = data.find(b"\r\n\r\n") + 4
        if not 4 < end <= self._shared.limits.head_bytes:
            return False
        try:
            head, length = self._memo.learn(data[:end])
        except Refusal:
            return False
        self._buffer += data[end:]
        self._begin(head, length)
        return True

    def _begin(self, head: Head, length: int) -> None:
        """A head is complete. A body that is too large is refused before any of it is asked for."""
        try:
            head.mode = mode = self._handler.accept(head)
        except Refusal as refusal:
            self._refuse(refusal.failure, head, length)
            return
        except Exception:  # the client gets an answer, whatever the handler's error
            _logger.exception("the handler failed to accept a request")
            self._refuse(_INTERNAL, head, length)
            return
        limits = self._shared.limits
        most = limits.body_bytes if mode is _BUFFER else limits.streamed_body_bytes
        if length > most:
            self._refuse(too_large(most).failure)
            return
        if head.expects_continue and length and not self._buffer:
            self.write(_CONTINUE)
        if mode is not _BUFFER:
            self._serve_streamed(head, length)
            return
        self._head = head
        self._length = length
        self._chunked = Chunked() if length == CHUNKED else None
        self._since = monotonic()
        self._phase = _BODY
        self._go_on()

    def _collect(self) -> None:
        """Serve the request when all of its body is here. Raises `Refusal` for a body that is not to be had."""
        buffer = self._buffer
        chunked = self._chunked
        if chunked is None:
            length = self._length
            received = len(buffer)
            self._hold(min(length, received), length)
            if len(buffer) >= length:
                body = bytes(memoryview(buffer)[:length])
                del buffer[:length]
                self._serve(self._head, body, length)
                return
        else:
            collected = self._collected
            collected += chunked.take(buffer)
            received = len(collected)
            self._hold(len(collected) + (0 if chunked.is_done else len(buffer)), len(collected))
            self._set_reading(not chunked.is_behind)
            if chunked.is_done:
                self._collected = bytearray()
                self._serve(self._head, bytes(collected), len(collected))
                return
            if chunked.is_behind:
                self._shared.loop.call_soon(self._go_on)
        self._limit(next_due(self._since, monotonic(), received, self._shared.limits.body_timeout_s) - monotonic())

    def _hold(self, size: int, length: int) -> None:
        """Account for the `size` bytes held of a body that has at least `length`."""
        shared = self._shared
        limits = shared.limits
        if length > limits.body_bytes:
            raise too_large(limits.body_bytes)
        if shared.body_memory - self._held + max(size, length) > limits.body_memory_bytes:
            message = "the gateway holds as many request bodies as it can"
            raise Refusal(Failure(failures.OVERLOADED_GATEWAY, message, retry_after_s=1.0))
        shared.body_memory += size - self._held
        self._held = size

    def _let_go(self) -> None:
        self._shared.body_memory -= self._held
        self._held = 0

    # Serving them.

    def _serve(self, head: Head, body: bytes, length: int) -> None:
        """Hand over a request that is here with all of its body."""
        shared = self._shared
        self._exchange = exchange = Exchange(self, head, body, length, monotonic())
        self._phase = _SERVING
        self._is_fresh = False
        self.deadline = NEVER
        shared.requests += 1
        shared.body_memory += length - self._held
        self._held = length
        try:
            self._handler.handle(exchange)
        except Exception as error:  # noqa: BLE001 -- logged and answered by `_fail`
            self._fail(exchange, error)

    def _serve_streamed(self, head: Head, length: int) -> None:
        """Hand over a request whose body is still to come, but for what is in the buffer."""
        shared = self._shared
        framing = Chunked() if length == CHUNKED else Fixed(length)
        body_length = None if length == CHUNKED else length
        now = monotonic()
        self._exchange = exchange = Exchange(self, head, b"", body_length, now)
        self._upload = upload = Upload(framing)
        upload.since, upload.due = now, now + shared.limits.body_timeout_s
        self._phase = _STREAMING
        self._is_fresh = False
        shared.requests += 1
        self._limit(_POLL_S)
        try:
            self._handler.handle(exchange)
        except Exception as error:  # noqa: BLE001 -- logged and answered by `_fail`
            self._fail(exchange, error)

    def read_body(self, on_data: Callable[[bytes], None], on_end: Callable[[], None]) -> None:
        """Of `Exchange`."""
        upload = self._upload
        if upload is None:
            on_end()
            return
        upload.on_data = on_data
        upload.on_end = on_end
        self._deliver()

    def hold_body(self, size: int) -> None:
        """Of `Exchange`."""
        self._hold(size, 0)

    def pause_body(self) -> None:
        """Of `Exchange`."""
        if self._upload is not None:
            self._upload.is_paused = True

    def resume_body(self) -> None:
        """Of `Exchange`."""
        if self._upload is not None and self._upload.is_paused:
            self._upload.is_paused = False
            self._deliver()

    def _deliver(self) -> None:
        """Hand on what the buffer holds of a streamed body, unless the handler wants none for now; then reading is
        paused as soon as the buffer is full."""
        upload = self._upload
        if upload is None or upload.is_delivering:
            return
        buffer = self._buffer
        upload.is_delivering = True
        try:
            while upload.on_data is not None and not upload.is_paused and self._upload is upload:
                piece = upload.framing.take(buffer)
                upload.size += len(piece)
                if upload.size > self._shared.limits.streamed_body_bytes:
                    raise too_large(self._shared.limits.streamed_body_bytes)
                now = monotonic()
                upload.due = next_due(upload.since, now, upload.size, self._shared.limits.body_timeout_s)
                if piece:
                    self._call(upload.on_data, piece)
                if upload.framing.is_done and self._upload is upload:
                    self._end_upload(upload)
                elif upload.framing.is_behind:
                    self._shared.loop.call_soon(self._deliver)
                    break
                elif not piece:
                    break
        except Refusal as refusal:
            self._spoil(refusal.failure)
        finally:
            upload.is_delivering = False
        is_full = self._upload is upload and len(buffer) > self._shared.limits.pipeline_bytes
        self._set_reading(not is_full)

    def _end_upload(self, upload: Upload) -> None:
        self._upload = None
        self._phase = _SERVING
        self.deadline = self._write_due
        if upload.on_end is not None:
            self._call(upload.on_end)

    def _check_upload(self, now: float) -> None:
        """Look after a streamed body, at every tick of the timer."""
        upload = self._upload
        self.deadline = now + _POLL_S
        if upload is None:
            return
        if self._is_reading_paused:
            if is_peer_gone(self._transport):
                self.cut()
        elif upload.on_data is None or upload.is_paused:
            upload.wait(now, self._shared.limits.body_timeout_s)  # it is us who keep the client waiting
        elif now >= upload.due:
            self._spoil(Failure(failures.REQUEST_TIMEOUT, "the request body did not arrive in time"))

    def _set_reading(self, is_wanted: bool) -> None:
        if is_wanted is not self._is_reading_paused or self._phase == _CLOSED:
            return
        self._is_reading_paused = not is_wanted
        set_reading(self._transport, is_wanted=is_wanted)

    # Answering them.

    def must_close(self, head: Head) -> bool:
        """Whether an answer that begins now is the last one."""
        return not head.keep_alive or self._phase != _SERVING or self._shared.is_draining

    def write(self, data: bytes) -> None:
        """Write, unless the transport has failed already, of which `connection_lost` is about to tell."""
        try:
            self._transport.write(data)
        except (OSError, RuntimeError):
            _logger.debug("the connection failed before it was written to", exc_info=True)

    def finish(self, exchange: Exchange) -> None:
        """The answer has been written to its end: go on to the next request, or close."""
        is_read = self._phase == _SERVING
        self._release(exchange)
        if not (exchange.closes or self._shared.is_draining):
            self._rest()
        elif is_read:
            self._close()
        else:
            self._linger()

    def _rest(self) -> None:
        """Between two requests."""
        self.deadline = monotonic() + self._shared.limits.idle_timeout_s
        if self._buffer or self.is_write_paused:
            self._phase = _PENDING
            self.deadline = min(self.deadline, self._write_due)
            # Not at once: pipelined requests would nest in each other's calls, and one client would keep the loop.
            self._shared.loop.call_soon(self._advance)
        else:
            self._phase = _IDLE
        if self.deadline < self.watched_until:
            self._shared.deadlines.watch(self)

    def abandon(self, exchange: Exchange, *, with_reset: bool) -> None:
        """End the connection in the middle of an answer."""
        self._release(exchange)
        if with_reset:
            # Closing alone would send FIN, and to this client FIN means that the answer is whole.
            reset_on_close(self._transport)
            self.cut()
        else:
            self._close()

    def _release(self, exchange: Exchange) -> None:
        """The exchange is over, well or not."""
        exchange.is_closed = True
        self._shared.requests -= 1
        self._let_go()
        self._exchange = self._upload = None

    def _refuse(self, failure: Failure, head: Head | None = None, length: int = CHUNKED) -> None:
        """Answer a request that no handler has seen. The connection goes on if the end of the request is known and
        here: `length` is that of its body."""
        is_read = head is not None and head.keep_alive and 0 <= length <= len(self._buffer)
        closes = not is_read or self._shared.is_draining
        status, headers, body = worded(self._handler, failure, head, self.peer)
        is_bodiless = head is not None and head.method == b"HEAD"
        self.write(compose(status, headers, body, closes=closes, is_bodiless=is_bodiless))
        if closes:
            self._linger()
        else:
            del self._buffer[:length]
            self._rest()

    def _fail(self, exchange: Exchange | None, error: Exception) -> None:
        """The handler raised where it must not."""
        _logger.error("the handler failed to serve a request", exc_info=error)
        if exchange is None or exchange.is_closed:
            return
        if exchange.is_started:
            exchange.abort()
        else:
            self._release(exchange)
            self._refuse(_INTERNAL)

    def _call(self, callback: Callable[..., None], *arguments: bytes) -> None:
        """Call the handler back, so that what it raises stays with this connection."""
        exchange = self._exchange
        try:
            callback(*arguments)
        except Exception as error:  # noqa: BLE001 -- logged and answered by `_fail`
            self._fail(exchange, error)

    # Ending.

    def cut(self) -> None:
        """Close at once, whatever is going on. The handler is told if it was serving a request."""
        self._phase = _CLOSED
        self.deadline = NEVER
        self._transport.abort()
        self._disconnect()

    def retire(self) -> None:
        """A drain begins: close if nothing is going on; where no request has come yet, one may be on its way."""
        if self._phase == _IDLE or (self._phase == _PENDING and not self._buffer):
            if self._is_fresh:
                self._limit(_FRESH_S, may_extend=False)
            else:
                self._close()

    def break_off(self) -> None:
        """The drain is over: have a request end with what can still be said, and close when that has gone out."""
        exchange = self._exchange
        if exchange is not None:
            on_cancel, exchange.on_cancel = exchange.on_cancel, None
            if on_cancel is not None:
                self._call(on_cancel)
            if self._exchange is exchange:
                self.cut()
        elif self._phase == _BODY or (self._phase == _PENDING and self._buffer):
            self._refuse(_ENDING, self._head if self._phase == _BODY else None)
        elif self._phase < _CLOSING:
            self._close()

    def _disconnect(self) -> None:
        """The client is gone: tell the handler if it was serving a request, and forget what was held of a body."""
        exchange = self._exchange
        if exchange is None:
            self._let_go()
            return
        self._release(exchange)
        if exchange.on_cancel is not None:
            self._call(exchange.on_cancel)

    def _spoil(self, failure: Failure) -> None:
        """The client has spoilt a request that is being served: it gets `failure` for its answer, unless one was
        begun, and to the handler it is gone."""
        exchange = self._exchange
        if exchange is None:
            return
        if exchange.is_started:
            exchange.abort()
        else:
            self._release(exchange)
            self._refuse(failure)
        if exchange.on_cancel is not None:
            self._call(exchange.on_cancel)

    def _close(self) -> None:
        """Close when what was written has gone out."""
        self._phase, self._scanned = _CLOSING, 0
        self._unsent = self._transport.get_write_buffer_size() + 1
        self._transport.close()
        self._limit(self._shared.limits.write_timeout_s)

    def _linger(self) -> None:
        """Say that nothing more follows, and read on for a while. To close with bytes unread would reset the
        connection, and the client might never see its answer."""
        self._phase, self._scanned = _CLOSING, 0
        self._let_go()
        self._buffer, self._collected = bytearray(), bytearray()
        self._unsent = self._transport.get_write_buffer_size() + 1
        self._limit(_LINGER_S)
        self._set_reading(True)
        end_writing(self._transport)

    def _limit(self, timeout_s: float, *, may_extend: bool = True) -> None:
        """Set the deadline to `timeout_s` from now; without `may_extend`, to no later than it is."""
        deadline = monotonic() + timeout_s
        self.deadline = deadline if may_extend else min(deadline, self.deadline)
        self._shared.deadlines.watch(self)
