"""One connection to a provider. It sends a request and delivers its answer, and then may carry the next one.

Bytes that arrive are first parsed, then delivered to the handler. The handler never runs inside the parser. So it may
cancel, pause, raise, or send its next request, even on the same connection.
"""

import asyncio
import logging
from collections.abc import Callable
from math import inf
from typing import Protocol, cast

from pointsman.domain import failures
from pointsman.domain.failures import Kind
from pointsman.domain.messages import Headers
from pointsman.transport._sockets import set_reading
from pointsman.transport.answer_reader import PIECE, WHOLE, AnswerReader
from pointsman.transport.deadlines import NEVER, Deadlines
from pointsman.transport.decoding import UndecodableError
from pointsman.transport.leg import MAX_JOINED_BYTES, Leg

STALE_S = 0.25  # a connection that had been closed fails within a round trip; later, the provider had begun to work

_logger = logging.getLogger(__name__)


class ConnectionKeeper(Protocol):
    """The owner of the connections to an origin: their pool."""

    name: str
    request_line_end: bytes
    idle_timeout_s: float
    deadlines: Deadlines

    def connection_idle(self, connection: "UpstreamConnection") -> None:
        """Handle a connection whose answer has ended. It may carry another request."""

    def connection_gone(self, connection: "UpstreamConnection", unsent: Leg | None) -> None:
        """Remove a closed connection. `unsent` is a leg of which nothing was sent, and which needs a new connection."""


class UpstreamConnection(asyncio.Protocol):
    """Carries one leg at a time. It is created with its first leg, before it is connected.

    It stays open only after a complete answer with a proper end. In any other case it is closed.
    """

    __slots__ = (
        "_clock", "_connect_deadline", "_idle_deadline", "_is_behind", "_is_closed", "_is_write_paused", "_owner",
        "_phase", "_reader", "_reused_at", "_transport", "deadline", "leg", "stop_connecting", "watched_until",
    )  # fmt: skip

    def __init__(self, owner: ConnectionKeeper, leg: Leg, connect_deadline: float) -> None:
        self._owner = owner
        self._clock = owner.deadlines.clock
        self._reader = AnswerReader()
        self._connect_deadline = connect_deadline
        self._idle_deadline = NEVER
        self._transport: asyncio.Transport | None = None
        self._is_closed = False
        self._reused_at = -inf
        self._is_write_paused = False
        self._is_behind = False  # arrived bytes wait for the next turn of the loop; until then reading is paused
        self._phase = "while waiting to connect"
        self.stop_connecting: Callable[[], object] | None = None  # set while it is being connected
        self.deadline = NEVER  # the next check of the timer
        self.watched_until = NEVER
        self.leg: Leg | None = leg
        leg.carrier = self

    # -- time -----------------------------------------------------------------------------------------------------

    def _due(self) -> float:
        """Return the time limit of the present phase: idle, connecting, or waiting for the answer."""
        leg = self.leg
        if leg is None:
            return self._idle_deadline
        return min(leg.deadline, self._connect_deadline)

    def watch(self) -> None:
        """Make the timer check this connection in time. If the deadline of a leg is later moved to a later time,
        nothing is done: the timer checks too early, and `expired` sets the time of the next check."""
        due = self._due()
        if due < self.watched_until:
            self.deadline = due
            self._owner.deadlines.watch(self)

    def expired(self, now: float) -> None:
        """Handle a check of the timer: if the time limit has passed, fail the leg and close; else set the next
        check."""
        due = self._due()
        if now < due:
            self.deadline = due
            return
        leg = self.leg
        if leg is None:
            self.close()
        elif now >= self._connect_deadline:
            message = f"connecting to {self._owner.name} exceeded the connect timeout ({self._phase})"
            self.abandon(failures.CONNECT_TIMEOUT, message)
        elif self._reader.has_head:
            self.abandon(leg.timeout_kind, f"{self._owner.name} began its answer but did not continue it in time")
        elif self._transport is None:
            message = f"the request timed out before {self._owner.name} was connected ({self._phase})"
            self.abandon(leg.timeout_kind, message)
        else:
            self.abandon(leg.timeout_kind, f"{self._owner.name} did not answer in time")

    def enter_phase(self, phase: str) -> None:
        """Set the description of the present step of connecting, for the message of a timeout."""
        self._phase = phase

    # -- the request ----------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are not its subclasses
        self._connect_deadline = NEVER
        leg = self.leg
        if self._is_closed or leg is None:
            self._transport.abort()
            return
        self.start(leg)
        self._reused_at = -inf
        if leg.is_paused:
            # uvloop starts reading when this method returns, even if it was paused here
            asyncio.get_running_loop().call_soon(self.pause)

    def start(self, leg: Leg) -> None:
        """Send a leg over this connection, which is open and idle."""
        transport, clock, request = self._transport, self._clock, leg.request
        assert transport is not None
        self.leg = leg
        leg.carrier = self
        self._reader.is_bodiless = request.method == b"HEAD"
        self._reused_at = clock()
        try:
            transport.write(leg.message(self._owner.request_line_end))
            if len(request.body) > MAX_JOINED_BYTES and not leg.is_uploading:
                transport.write(request.body)
        except RuntimeError:  # uvloop, when the transport is closed but `connection_lost` has not been called yet
            asyncio.get_running_loop().call_soon(self._never_sent)
            return
        if leg.is_paused:
            transport.pause_reading()
        if leg.is_uploading and not self._is_write_paused:
            asyncio.get_running_loop().call_soon(leg.invite)
        if leg.deadline < self.watched_until:
            self.watch()

    def _never_sent(self) -> None:
        """Return a leg of which nothing was sent to the pool, which uses another connection for it."""
        leg = self.leg
        if leg is None or not leg.is_replayable:
            return self._lost(None, is_proper_end=True)
        self.leg = leg.carrier = None
        return self.close(unsent=leg)

    def write_upload(self, data: bytes) -> bool:
        if self._transport is not None and not self._is_closed:
            try:
                self._transport.write(data)
            except RuntimeError:
                return True  # `connection_lost` follows
        return not self._is_write_paused

    def pause_writing(self) -> None:
        self._is_write_paused = True

    def resume_writing(self) -> None:
        self._is_write_paused = False
        if self.leg is not None:
            self.leg.invite()

    # -- the answer -----------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        leg, reader = self.leg, self._reader
        if leg is None:  # bytes without a request cannot be assigned to one, so the connection is unusable
            self.close()
            return
        if reader.is_done:
            reader.is_keep_alive = False  # the answer is complete, but not yet delivered
            return
        event = reader.feed(data)
        if event == PIECE:
            handler = leg.handler
            try:
                if handler is not None:
                    handler.on_data(reader.body)
            except Exception as error:  # noqa: BLE001 -- logged, and the handler is notified
                self._handler_raised(leg, error)
        elif event == WHOLE:
            self._finish(leg, reader.headers if reader.is_head_new else None, reader.body)
        else:
            self._take_part(leg)

    def _take_part(self, leg: Leg) -> None:
        """Deliver the head and the bytes of one read, of an answer that is not plain or has not ended."""
        reader, handler = self._reader, leg.handler
        body = reader.body
        if handler is None:
            return
        try:
            if reader.is_head_new:
                handler.on_head(reader.status, reader.headers)
            if body and leg.handler is not None:
                handler.on_data(body)
        except Exception as error:  # noqa: BLE001 -- logged, and the handler is notified
            self._handler_raised(leg, error)
            return
        self._go_on(leg)

    def _go_on(self, leg: Leg) -> None:
        """Deliver a body that waits to be decoded, one piece in each turn of the event loop. Then deliver the end of
        the answer, or its fault."""
        reader, handler = self._reader, leg.handler
        if handler is None or self._is_behind:
            return
        decoder = reader.decoder
        if decoder is not None:
            if leg.is_paused:
                return
            try:
                piece = decoder.take()
                if piece:
                    handler.on_data(piece)
            except UndecodableError as error:
                self.abandon(failures.MALFORMED_ANSWER, f"{self._owner.name}: {error}")
                return
            except Exception as error:  # noqa: BLE001 -- logged, and the handler is notified
                self._handler_raised(leg, error)
                return
            if leg.handler is None or leg.is_paused:  # `resume` goes on
                return
            if decoder.is_behind:
                self._is_behind = True
                self.pause()
                asyncio.get_running_loop().call_soon(self._catch_up, leg)
                return
        if reader.fault is not None:
            if not leg.is_paused:
                self.abandon(failures.MALFORMED_ANSWER, f"{self._owner.name}: {reader.fault}")
        elif reader.is_done and decoder is not None and not decoder.is_whole:
            self.abandon(failures.CONNECTION_LOST, f"the compressed answer of {self._owner.name} is truncated")
        elif reader.is_done:
            self._finish(leg, None, b"")

    def _catch_up(self, leg: Leg) -> None:
        if self.leg is leg and self._is_behind:
            self._is_behind = False
            self._go_on(leg)
            if self.leg is leg and not self._is_behind and not leg.is_paused:
                self.resume()

    def pause(self) -> None:
        """Stop reading if the leg is paused, or if arrived bytes wait for the next turn of the event loop."""
        leg = self.leg
        if self._transport is not None and leg is not None and (leg.is_paused or self._is_behind):
            set_reading(self._transport, is_wanted=False)

    def resume(self) -> None:
        leg = self.leg
        if self._transport is not None and not self._is_behind:
            set_reading(self._transport, is_wanted=True)
        if leg is not None:
            self._go_on(leg)

    # -- the end --------------------------------------------------------------------------------------------------

    def _finish(self, leg: Leg, headers: Headers | None, body: bytes) -> None:
        """Release the leg at the end of its answer, then deliver the rest of it."""
        transport, reader, handler = self._transport, self._reader, leg.handler
        status = reader.status
        self.leg = leg.carrier = None
        if transport is None or not reader.is_keep_alive or leg.is_uploading or transport.get_write_buffer_size() != 0:
            self.close()
        else:
            if leg.is_paused or not reader.is_plain:
                transport.resume_reading()
            reader.reset()
            clock, owner = self._clock, self._owner
            self._idle_deadline = due = clock() + owner.idle_timeout_s
            if due < self.watched_until:
                self.watch()
            owner.connection_idle(self)
        if handler is None:
            return
        try:
            if headers is not None:
                handler.on_head(status, headers)
            if body and leg.handler is not None:
                handler.on_data(body)
            if leg.handler is not None:
                leg.handler = None
                handler.on_end()
        except Exception as error:  # noqa: BLE001 -- logged, and the handler is notified
            self._handler_raised(leg, error)

    def cancel(self) -> None:
        self.leg = None
        self.close()

    def eof_received(self) -> None:
        self._lost(None, is_proper_end=True)

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost(exc)
        self._transport = None

    def _lost(self, error: Exception | None, is_proper_end: bool = False) -> None:
        """Handle the end of the connection by the other side or by the network. A proper end is a FIN; over TLS an
        alert must announce it. Without the alert, anybody between the two sides could have cut the answer short."""
        if self._is_closed:
            return
        leg, reader, clock = self.leg, self._reader, self._clock
        if leg is None:
            self.close()
        elif reader.is_done:
            reader.is_keep_alive = False  # the answer is complete, but not yet delivered
        elif reader.is_silent and leg.is_replayable and clock() - self._reused_at < STALE_S:
            message = f"{self._owner.name} closed a kept-alive connection as a request was sent on it"
            self.abandon(failures.CONNECTION_STALE, message)
        elif is_proper_end and reader.end():
            self._go_on(leg)
        else:
            how = reader.how_lost(error, is_announced=is_proper_end or self._transport is None)
            self.abandon(failures.CONNECTION_LOST, f"{self._owner.name} {how}")

    def abandon(self, kind: Kind, message: str) -> None:
        """Close the connection. If it has a leg, the leg fails."""
        leg, self.leg = self.leg, None
        was_sent = self._transport is not None
        self.close()
        if leg is not None:
            leg.fail(kind, message, was_sent=was_sent)

    def _handler_raised(self, leg: Leg, error: Exception) -> None:
        _logger.error("the handler of an answer of %s raised an exception", self._owner.name, exc_info=error)
        if self.leg is leg:
            self.abandon(failures.INTERNAL, "an internal error of the gateway ended the answer")
        else:  # the leg was released, and the connection may carry another one
            leg.fail(failures.INTERNAL, "an internal error of the gateway ended the answer", was_sent=True)

    def close(self, unsent: Leg | None = None) -> None:
        """Close the connection at once. Its leg must have been released before."""
        if self._is_closed:
            return
        self._is_closed = True
        self._idle_deadline = NEVER
        self._reader.close()
        if self.stop_connecting is not None:
            self.stop_connecting()
        if self._transport is not None:
            self._transport.abort()
        self._owner.connection_gone(self, unsent)
