"""One client's connection: its socket and its time limits. The framer finds the requests, and `Exchanges` serves them.

The socket is read even while a request is served, because a paused socket does not report that the client disconnected.
Only a streamed request body can pause reading; in that case the state of the socket is polled.
"""

import asyncio
from typing import cast

from pointsman.domain import failures
from pointsman.domain.failures import Failure
from pointsman.transport import framer as framing
from pointsman.transport._server_parts import Shared
from pointsman.transport._sockets import certificate_of, end_writing, is_peer_gone, peer_of, reset_on_close, set_reading
from pointsman.transport.deadlines import NEVER
from pointsman.transport.exchanges import POLL_S, Exchanges
from pointsman.transport.framer import REQUEST, Framer

_LINGER_S = 2.0
_FRESH_S = 1.0  # the wait of a draining server for the first request of a new connection


class ClientConnection(asyncio.Protocol):
    """The protocol of one connection. `deadline` and `watched_until` are those of `deadlines.Expiring`."""

    __slots__ = (
        "_exchanges", "_framer", "_is_reading_paused", "_shared", "_transport", "_unsent", "deadline", "watched_until",
        "write_due",
    )  # fmt: skip

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._framer = Framer(shared.limits, shared.memo)
        self._transport: asyncio.Transport
        self._unsent = 0
        self._exchanges = Exchanges(self, self._framer, shared)
        self._is_reading_paused = False
        self.write_due = NEVER  # the time to disconnect a client that reads nothing of its answer
        self.deadline = self.watched_until = NEVER

    # The transport's callbacks.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = self._exchanges.transport = cast("asyncio.Transport", transport)
        self._exchanges.peer = peer_of(transport)
        self._exchanges.certificate = certificate_of(transport)
        shared = self._shared
        limits = shared.limits
        self._transport.set_write_buffer_limits(high=limits.write_buffer_bytes)
        shared.connections.add(self)
        if len(shared.connections) > limits.max_connections:
            self._exchanges.reject(
                Failure(
                    failures.OVERLOADED_GATEWAY,
                    "the gateway has too many client connections; retry later",
                    retry_after_s=1.0,
                )
            )
        else:
            self.expire_at(shared.clock() + limits.head_timeout_s)

    def data_received(self, data: bytes) -> None:
        event = self._framer.feed(data)
        if event == REQUEST:
            self._exchanges.serve()
        else:
            self._exchanges.take(event)

    def eof_received(self) -> None:
        # A client that closes its sending side counts as disconnected. Returning `None` closes the transport after
        # pending output is written, so an answer that has just been completed still arrives.
        if self._framer.state in (framing.SERVING, framing.STREAMING):
            self.cut()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- the cause makes no difference
        shared = self._shared
        shared.connections.discard(self)
        self._framer.end(framing.LOST)
        self.deadline = NEVER
        self._exchanges.disconnected()
        if not shared.connections and shared.on_empty is not None:
            shared.on_empty()

    def pause_writing(self) -> None:
        self._exchanges.is_write_paused = True
        self._framer.set_paused(is_paused=True)
        self._unsent = self._transport.get_write_buffer_size()
        self.write_due = self._shared.clock() + self._shared.limits.write_timeout_s
        self.expire_at(self.write_due, may_extend=False)

    def resume_writing(self) -> None:
        self._exchanges.is_write_paused = False
        self._framer.set_paused(is_paused=False)
        self.write_due = NEVER
        self._exchanges.resume()

    # Time.

    def expire_at(self, deadline: float, *, may_extend: bool = True) -> None:
        """Set the deadline. Without `may_extend` it never moves to a later time."""
        if may_extend or deadline < self.deadline:
            self.deadline = deadline
        if self.deadline < self.watched_until:
            self._shared.deadlines.watch(self)

    def expired(self, now: float) -> None:
        """Act on a time limit that has passed. The state determines which one it is."""
        state = self._framer.state
        if now >= self.write_due:
            unsent = self._transport.get_write_buffer_size()
            if unsent >= self._unsent:
                self.cut()
                return
            self._unsent = unsent
            self.write_due = now + self._shared.limits.write_timeout_s
        if state == framing.STREAMING:
            self._check_body(now)
        elif self._exchanges.is_write_paused:
            self.deadline = self.write_due
        elif state == framing.IDLE:
            self.close()
        elif state == framing.ENDING:
            unsent = self._transport.get_write_buffer_size()
            if 0 < unsent < self._unsent:
                self._unsent = unsent
                self.deadline = now + self._shared.limits.write_timeout_s
            else:
                self._transport.abort()
        elif state in (framing.WAITING, framing.COLLECTING):
            late = Failure(failures.REQUEST_TIMEOUT, "the request did not arrive within the time limit")
            head = self._framer.head if state == framing.COLLECTING else None
            self._exchanges.reject(late, head, is_last=True)
        else:
            self.deadline = NEVER

    def _check_body(self, now: float) -> None:
        """Check the time limit of a streamed body, at every tick of the timer."""
        body = self._exchanges.body
        self.deadline = now + POLL_S
        if body is None:
            return
        if self._is_reading_paused:
            if is_peer_gone(self._transport):
                self.cut()
        elif body.on_data is None or body.is_paused:
            body.wait(now)  # the gateway is not reading
        elif now >= body.due:
            self._exchanges.fail_request(
                Failure(failures.REQUEST_TIMEOUT, "the request body did not arrive within the time limit")
            )

    # The socket.

    def set_reading(self, *, is_wanted: bool) -> None:
        """Start or stop reading."""
        if is_wanted is self._is_reading_paused and self._framer.state != framing.CLOSED:
            self._is_reading_paused = not is_wanted
            set_reading(self._transport, is_wanted=is_wanted)

    def retire(self) -> None:
        """Close an idle connection as a drain begins. On a new connection, wait a moment for its first request."""
        framer = self._framer
        if framer.state in (framing.IDLE, framing.WAITING) and not framer.has_part:
            if self._exchanges.is_fresh:
                self.expire_at(self._shared.clock() + _FRESH_S, may_extend=False)
            else:
                self.close()

    def forget_derived(self) -> None:
        """Drop everything that the handler computed from the head of the last request, if no other has begun."""
        if self._framer.state in (framing.IDLE, framing.WAITING) and not self._exchanges.is_fresh:
            self._framer.head.derived = None

    def abort(self) -> None:
        """End the request that is served, when the time of a drain is over."""
        self._exchanges.abort()

    def cut(self) -> None:
        """Close at once, and cancel the request that is served."""
        self._framer.end(framing.LOST)
        self.deadline = NEVER
        self._transport.abort()
        self._exchanges.disconnected()

    def reset(self) -> None:
        """Close with RST, which the client treats as a failure."""
        reset_on_close(self._transport)
        self.cut()

    def close(self) -> None:
        """Close after all output is written."""
        self._end(self._shared.limits.write_timeout_s)
        self._transport.close()

    def linger(self) -> None:
        """Send FIN, and read on for a while. Closing with unread bytes would reset the connection, and the client might
        not receive its answer."""
        self._end(_LINGER_S)
        self._exchanges.count_buffered(0)
        self.set_reading(is_wanted=True)
        end_writing(self._transport)

    def _end(self, timeout_s: float) -> None:
        self._framer.end(framing.CLOSE)
        self._unsent = self._transport.get_write_buffer_size() + 1
        self.expire_at(self._shared.clock() + timeout_s)
