"""The pool of connections to one origin. It chooses a connection for a request, opens another, or queues the
request."""

import asyncio
import logging

from msgspec import Struct

from pointsman.domain import failures
from pointsman.domain.failures import Kind
from pointsman.domain.origin import Origin
from pointsman.transport.connector import Connector
from pointsman.transport.deadlines import NEVER, Deadlines
from pointsman.transport.errors import ConnectError
from pointsman.transport.leg import Leg
from pointsman.transport.room import Room
from pointsman.transport.upstream_connection import UpstreamConnection

_logger = logging.getLogger(__name__)


class PoolGauges(Struct, frozen=True, kw_only=True):
    """The state of a pool. `connects`, `reuses` and `stale_retries` are totals."""

    open: int
    idle: int
    in_flight: int  # legs on a connection that is open or being opened
    waiting: int  # legs in the queue for a connection
    connects: int
    reuses: int
    stale_retries: int


class OriginPool:
    """Gives legs to idle connections, the most recently used first. So the others stay idle until their time is
    over."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        deadlines: Deadlines,
        connector: Connector,
        origin: Origin,
        room: Room,
    ) -> None:
        network = connector.network
        self.name = str(origin)
        self.max_connections = network.max_connections
        self.deadlines = deadlines
        self.idle_timeout_s = network.idle_timeout_s
        authority = origin.authority
        encoding = "ascii" if authority.isascii() else "idna"
        self.request_line_end = b" HTTP/1.1\r\nHost: %b\r\n" % authority.encode(encoding)
        self._loop = loop
        self._connector = connector
        self._network = network
        self._origin = origin
        self._room = room
        self._is_saturated = False
        room.pools[self] = None
        self._idle: dict[UpstreamConnection, None] = {}  # in the order of their last use
        self._connections: set[UpstreamConnection] = set()
        self._waiting: dict[QueuedLeg, None] = {}  # in the order of arrival
        self._connecting: set[asyncio.Task[None]] = set()
        self._is_closed = False
        self._connects = 0
        self._reuses = 0
        self._stale_retries = 0

    def send(self, leg: Leg) -> None:
        """Send `leg` at once, or as soon as there is a connection. The handler is not called before this returns."""
        idle = self._idle
        if idle and leg.request.wants_fresh:
            if self.max_connections is not None and len(self._connections) >= self.max_connections:
                self.close_idle()
            self._connect(leg)
        elif idle:
            connection, _ = idle.popitem()
            self._reuses += 1
            connection.start(leg)
        elif self.max_connections is None or len(self._connections) < self.max_connections:
            self._connect(leg)
        else:
            waiter = leg.carrier = QueuedLeg(self, leg)
            self._waiting[waiter] = None
            self.deadlines.watch(waiter)
        if self.max_connections is not None:
            self._check_saturation(self.max_connections)

    def close_idle(self) -> bool:
        """Close the connection that was idle for longest, so that another one can be opened. Return false if none is
        idle."""
        for connection in self._idle:  # the first one was idle for longest
            connection.close()
            return True
        return False

    def gauges(self) -> PoolGauges:
        return PoolGauges(
            open=len(self._connections),
            idle=len(self._idle),
            in_flight=len(self._connections) - len(self._idle),
            waiting=len(self._waiting),
            connects=self._connects,
            reuses=self._reuses,
            stale_retries=self._stale_retries,
        )

    async def close(self) -> None:
        """Close all connections. Their legs fail."""
        self._is_closed = True
        self._room.pools.pop(self, None)
        self._room.set_saturated((self._network, self._origin), is_saturated=False)
        for waiter in list(self._waiting):
            waiter.fail(failures.SHUTTING_DOWN, "the gateway is shutting down")
        for connection in list(self._connections):
            connection.abandon(failures.SHUTTING_DOWN, "the gateway is shutting down")
        await asyncio.gather(*self._connecting, return_exceptions=True)

    # -- called by connections ------------------------------------------------------------------------------------

    def connection_idle(self, connection: UpstreamConnection) -> None:
        if self._waiting:
            self._reuses += 1
            connection.start(self._next_waiting())
        else:
            self._idle[connection] = None
            if self._is_saturated and self.max_connections is not None:
                self._check_saturation(self.max_connections)

    def connection_gone(self, connection: UpstreamConnection, unsent: Leg | None) -> None:
        self._idle.pop(connection, None)
        self._connections.discard(connection)
        self._room.release()
        if unsent is not None:
            self._stale_retries += 1
            self._connect(unsent)
        elif self._waiting and not self._is_closed:
            self._connect(self._next_waiting())
        if self._is_saturated and self.max_connections is not None:
            self._check_saturation(self.max_connections)

    # -- called by the queue ----------------------------------------------------------------------------------------

    def remove_waiter(self, waiter: "QueuedLeg") -> None:
        self._waiting.pop(waiter, None)

    # -- connecting -------------------------------------------------------------------------------------------------

    def _check_saturation(self, max_connections: int) -> None:
        """Report to `Room` if the pool has become saturated, or no longer is."""
        is_saturated = not self._idle and len(self._connections) >= max_connections and not self._is_closed
        if is_saturated is not self._is_saturated:
            self._is_saturated = is_saturated
            self._room.set_saturated((self._network, self._origin), is_saturated=is_saturated)

    def _connect(self, leg: Leg) -> None:
        if not self._room.take():
            leg.carrier = None
            self._loop.call_soon(_reject, leg, self._room.limit)
            return
        self._connects += 1
        connection = UpstreamConnection(self, leg, self.deadlines.clock() + self._network.connect_timeout_s)
        self._connections.add(connection)
        connection.watch()
        task = self._loop.create_task(self._open(connection))
        connection.stop_connecting = task.cancel
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _open(self, connection: UpstreamConnection) -> None:
        kind, message = None, ""
        try:
            await self._connector.connect(self._origin, connection, connection.enter_phase)
        except ConnectError as error:
            kind, message = error.kind, str(error)
        except Exception as error:  # the leg must fail at once, whatever the error
            _logger.exception("connecting to %s failed", self.name)
            kind, message = failures.CONNECT_FAILED, f"connecting to {self.name} failed: {type(error).__name__}"
        connection.stop_connecting = None
        if kind is not None:
            connection.abandon(kind, message)

    def _next_waiting(self) -> Leg:
        waiter = next(iter(self._waiting))
        del self._waiting[waiter]
        return waiter.leg


def _reject(leg: Leg, limit: int) -> None:
    message = (
        f"the worker has reached its limit of {limit} connections to providers, and none is idle; "
        "raise the limit of open files (LimitNOFILE, ulimit -n)"
    )
    leg.fail(failures.OVERLOADED_GATEWAY, message, was_sent=False)


class QueuedLeg:
    """A leg's place in the queue for a connection."""

    __slots__ = ("_pool", "deadline", "leg", "watched_until")

    def __init__(self, pool: OriginPool, leg: Leg) -> None:
        self._pool = pool
        self.leg = leg
        self.deadline = leg.deadline  # the next check of the timer
        self.watched_until = NEVER

    def expired(self, now: float) -> None:
        if self.leg.carrier is not self:
            return
        if now < self.leg.deadline:
            self.deadline = self.leg.deadline
        else:
            kind = self.leg.timeout_kind
            kind = failures.OVERLOADED_GATEWAY if kind is failures.COMMIT_TIMEOUT else kind
            message = (
                f"none of the {self._pool.max_connections} connections to {self._pool.name} became free in time; "
                "raise egress.connections"
            )
            self.fail(kind, message)

    def fail(self, kind: Kind, message: str) -> None:
        self._pool.remove_waiter(self)
        self.leg.fail(kind, message, was_sent=False)

    def watch(self) -> None:
        self.deadline = self.leg.deadline
        self._pool.deadlines.watch(self)

    def cancel(self) -> None:
        self._pool.remove_waiter(self)

    def pause(self) -> None:
        """Do nothing. No answer is read yet, and a connection checks `is_paused` when it sends the leg."""

    def resume(self) -> None:
        """See `pause`."""

    def write_upload(self, data: bytes) -> bool:  # noqa: ARG002 -- never called
        raise AssertionError("a queued leg keeps its body until it has a connection")
