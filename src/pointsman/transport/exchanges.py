"""Serving the requests of one connection in order. Each is given to the handler as an `Exchange`, or rejected."""

import asyncio
import logging
from collections.abc import Callable

from pointsman.domain import failures
from pointsman.domain.failures import Failure, Rejection
from pointsman.transport import framer as framing
from pointsman.transport._bodies import StreamedBody, next_due
from pointsman.transport._server_parts import ServerConnection, Shared, compose_rejection
from pointsman.transport.deadlines import NEVER
from pointsman.transport.framer import Framer
from pointsman.transport.http_exchange import Exchange, compose
from pointsman.transport.http_head import CHUNKED, Head

_logger = logging.getLogger(__name__)

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
POLL_S = 0.02  # less than a tick of the shared timer, so a check happens at each tick
_SERVING, _WAITING = framing.SERVING, framing.WAITING  # globals cost the hot path less than a module's attributes

_INTERNAL = Failure(failures.INTERNAL, "an internal error of the gateway ended the request; see the gateway's log")
_SHUTTING_DOWN = Failure(failures.SHUTTING_DOWN, "the gateway is shutting down; retry", retry_after_s=1.0)
_MEMORY_FULL = Failure(
    failures.OVERLOADED_GATEWAY, "the gateway has no memory left for request bodies; retry later", retry_after_s=1.0
)


class Exchanges:
    """Serves the requests that the framer finds. Implements `Client`, the interface that its exchanges use."""

    __slots__ = (
        "_buffered", "_clock", "_connection", "_exchange", "_framer", "_handler", "_shared", "_since", "body",
        "certificate", "is_fresh", "is_write_paused", "peer", "transport",
    )  # fmt: skip

    def __init__(self, connection: ServerConnection, framer: Framer, shared: Shared) -> None:
        self._connection = connection
        self._framer = framer
        self._shared = shared
        self._handler = shared.handler
        self._clock = shared.clock
        self._exchange: Exchange | None = None
        self.body: StreamedBody | None = None
        self._since = 0.0  # the time at which the body began to be collected
        self._buffered = 0  # bytes counted in `Shared.body_memory`
        self.is_fresh = True  # no request has arrived yet
        self.is_write_paused = False
        self.peer: str | None = None
        self.certificate: bytes | None = None
        self.transport: asyncio.Transport

    # The framer's events.

    def advance(self) -> None:
        """Go on with bytes that arrived earlier."""
        self._connection.set_reading(is_wanted=True)
        self.take(self._framer.next())

    def take(self, event: str) -> None:
        """Act on an event of the framer."""
        if event == framing.HEAD:
            event = self._accept()
        state = self._framer.state
        if event == framing.REQUEST:
            self.serve()
        elif event == framing.DATA:
            self._deliver()
        elif event == framing.REJECTED:
            self.reject(self._framer.failure, self._framer.rejected, is_last=True)
        elif event == framing.OVERFLOW:
            self._connection.cut()
        elif state == framing.COLLECTING:
            self._await_body(is_behind=event == framing.LATER)
        elif state == framing.WAITING and not self.is_write_paused:
            self._connection.expire_at(self._clock() + self._shared.limits.head_timeout_s, may_extend=False)

    def _accept(self) -> str:
        """Let the handler choose if the body is collected or streamed. Return the next event. A body that is announced
        as too large is rejected before the client sends it."""
        framer = self._framer
        try:
            mode = self._handler.accept(framer.head)
        except Rejection as rejection:
            self.reject(rejection.failure, framer.head)
            return framing.NOTHING
        except Exception:  # the client gets an answer, whatever the handler's error
            _logger.exception("the handler raised an exception for the head of a request")
            self.reject(_INTERNAL, framer.head)
            return framing.NOTHING
        awaits_continue = framer.head.expects_continue and framer.awaits_body
        event = framer.accept(mode)
        if awaits_continue and event != framing.REJECTED:
            self.write(_CONTINUE)
        if event != framing.REQUEST:
            self._since = self._clock()
        return event

    def _await_body(self, *, is_behind: bool) -> None:
        shared, framer = self._shared, self._framer
        try:
            self.count_buffered(framer.buffered, framer.length)
        except Rejection as rejection:
            self.reject(rejection.failure, framer.head, is_last=True)
            return
        self._connection.set_reading(is_wanted=not is_behind)
        if is_behind:
            shared.loop.call_soon(self.advance)
        self._connection.expire_at(next_due(self._since, shared.clock(), framer.received, shared.limits.body_timeout_s))

    def count_buffered(self, size: int, expected: int = 0) -> None:
        """Set the number of bytes of the body in memory. `expected` is its announced length. Raise `Rejection` if the
        memory for bodies is exhausted."""
        shared = self._shared
        if shared.body_memory - self._buffered + max(size, expected) > shared.limits.body_memory_bytes:
            raise Rejection(_MEMORY_FULL)
        shared.body_memory += size - self._buffered
        self._buffered = size

    def serve(self) -> None:
        """Give a request to the handler: with its whole body, or with a body that is streamed."""
        shared, framer, clock = self._shared, self._framer, self._clock
        now = clock()
        length = framer.length
        if framer.state == _SERVING:
            memory = shared.body_memory + length - self._buffered
            if memory > shared.limits.body_memory_bytes:
                self.reject(_MEMORY_FULL, framer.head, is_last=True)
                return
            shared.body_memory = memory
            self._buffered = length
            self._connection.deadline = NEVER
        else:
            self.body = StreamedBody(now, shared.limits.body_timeout_s)
            self._connection.expire_at(now + POLL_S)
        self._exchange = exchange = Exchange(self, framer.head, framer.body, None if length == CHUNKED else length, now)
        framer.body = b""
        self.is_fresh = False
        shared.requests += 1
        try:
            self._handler.handle(exchange)
        except Exception as error:  # noqa: BLE001 -- logged and answered by `_fail`
            self._fail(exchange, error)

    # Streamed bodies.

    def read_body(self, on_data: Callable[[bytes], None], on_end: Callable[[], None]) -> None:
        """See `Exchange`."""
        body = self.body
        if body is None:
            on_end()
            return
        body.on_data, body.on_end = on_data, on_end
        self._deliver()

    def pause_body(self) -> None:
        """See `Exchange`."""
        if self.body is not None:
            self.body.is_paused = True

    def resume_body(self) -> None:
        """See `Exchange`."""
        if self.body is not None and self.body.is_paused:
            self.body.is_paused = False
            self._deliver()

    def _deliver(self) -> None:
        """Pass on the arrived bytes of a streamed body. If its reader has paused it, stop reading once the buffer is
        full."""
        body, framer = self.body, self._framer
        if body is None or body.is_delivering:
            return
        body.is_delivering = True
        while body.on_data is not None and not body.is_paused and self.body is body:
            event = framer.read()
            body.arrive(self._clock(), framer.received)
            if event == framing.PIECE:
                self._call(body.on_data, framer.body)
            elif event == framing.END:
                self.body = None
                self._connection.deadline = self._connection.write_due
                if body.on_end is not None:
                    self._call(body.on_end)
            elif event == framing.REJECTED:
                self.fail_request(framer.failure)
            else:
                if event == framing.LATER:
                    self._shared.loop.call_soon(self._deliver)
                break
        body.is_delivering = False
        self._connection.set_reading(is_wanted=not (self.body is body and framer.is_full))

    # Answers.

    def must_close(self, head: Head) -> bool:
        """Return whether the connection must be closed after an answer that begins now."""
        return not head.keep_alive or self._framer.state != _SERVING or self._shared.is_draining

    def write(self, data: bytes) -> None:
        """Write to the socket. If the transport has failed, do nothing, as `connection_lost` follows."""
        try:
            self.transport.write(data)
        except (OSError, RuntimeError):
            _logger.debug("could not write to a client: the connection had failed", exc_info=True)

    def resume(self) -> None:
        """Go on with output, or with the next request, after the client has read some output."""
        if self._framer.state == framing.WAITING:
            self._connection.expire_at(self._clock() + self._shared.limits.idle_timeout_s)
            self.advance()
        elif self._exchange is not None and self._exchange.on_drain is not None:
            self._call(self._exchange.on_drain)

    def finish(self, exchange: Exchange, data: bytes) -> None:
        """Write the last bytes of an answer, then go on to the next request or close."""
        if data:
            self.write(data)
        self._release(exchange)
        if not (exchange.closes or self._shared.is_draining):
            self._framer.finish()
            self._rest()
        elif self._framer.state == _SERVING:
            self._connection.close()
        else:
            self._connection.linger()

    def _rest(self) -> None:
        """Wait for the next request."""
        shared, connection, clock = self._shared, self._connection, self._clock
        connection.deadline = deadline = clock() + shared.limits.idle_timeout_s
        if self._framer.state == _WAITING:
            connection.deadline = min(deadline, connection.write_due)
            # In a later turn of the event loop: else calls of pipelined requests would nest, and block other clients.
            shared.loop.call_soon(self.advance)
        if deadline < connection.watched_until:
            shared.deadlines.watch(connection)

    def abandon(self, exchange: Exchange, *, with_reset: bool) -> None:
        """End the connection in the middle of an answer."""
        self._release(exchange)
        if with_reset:
            # A close sends FIN, and to this client FIN means that the answer is complete.
            self._connection.reset()
        else:
            self._connection.close()

    def _release(self, exchange: Exchange) -> None:
        """End the exchange, complete or not."""
        exchange.is_closed = True
        shared = self._shared
        shared.requests -= 1
        shared.body_memory -= self._buffered
        self._buffered = 0
        self._exchange = self.body = None

    def reject(self, failure: Failure, head: Head | None = None, *, is_last: bool = False) -> None:
        """Reject a request that the handler has not got. The connection stays open if the whole request has arrived,
        unless the request `is_last`."""
        closes = is_last or head is None or not self._framer.can_skip or self._shared.is_draining
        status, headers, body = compose_rejection(self._handler, failure, head, self.peer)
        is_bodiless = head is not None and head.method == b"HEAD"
        self.write(compose(status, headers, body, closes=closes, is_bodiless=is_bodiless))
        if closes:
            self._connection.linger()
        else:
            self._framer.skip()
            self._rest()

    def _fail(self, exchange: Exchange | None, error: Exception) -> None:
        """End a request whose handler has raised."""
        _logger.error("a request failed because its handler raised an exception; report this bug", exc_info=error)
        if exchange is not None and not exchange.is_closed:
            self._end(exchange, _INTERNAL)

    def fail_request(self, failure: Failure) -> None:
        """End the request that is served because of an error in its body. The handler is notified as of a
        disconnect."""
        exchange = self._exchange
        if exchange is not None:
            self._end(exchange, failure)
            if exchange.on_cancel is not None:
                self._call(exchange.on_cancel)

    def _end(self, exchange: Exchange, failure: Failure) -> None:
        """Answer with `failure`. If an answer has begun, abort it instead."""
        if exchange.is_started:
            exchange.abort()
        else:
            self._release(exchange)
            self.reject(failure, exchange.head, is_last=True)

    def _call(self, callback: Callable[..., None], *arguments: bytes) -> None:
        """Call a callback of the handler. An exception in it ends only this request."""
        exchange = self._exchange
        try:
            callback(*arguments)
        except Exception as error:  # noqa: BLE001 -- logged and answered by `_fail`
            self._fail(exchange, error)

    def abort(self) -> None:
        """End the request when the time of a drain is over. The handler may still end its answer."""
        exchange, framer = self._exchange, self._framer
        if exchange is not None:
            on_cancel, exchange.on_cancel = exchange.on_cancel, None
            if on_cancel is not None:
                self._call(on_cancel)
            if self._exchange is exchange:
                self._connection.cut()
        elif framer.has_part:
            self.reject(_SHUTTING_DOWN, framer.head if framer.state == framing.COLLECTING else None)
        elif framer.state not in (framing.ENDING, framing.CLOSED):
            self._connection.close()

    def disconnected(self) -> None:
        """Handle the loss of the connection: cancel the request, and count its body as freed."""
        exchange = self._exchange
        if exchange is None:
            self.count_buffered(0)
            return
        self._release(exchange)
        if exchange.on_cancel is not None:
            self._call(exchange.on_cancel)
