"""A worker's end of the connection to control. Control may be away at any time: nothing here raises into a request."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from time import monotonic
from typing import cast

import msgspec
from msgspec import Struct

from pointsman.domain.leases import NO_SHARE, Grant, LeaseRequest, LeaseUnavailable, Return, Share
from pointsman.link.frames import (
    FROM_CONTROL,
    PROTOCOL,
    Ask,
    CannotLease,
    Draining,
    FrameReader,
    FromControl,
    FromWorker,
    GiveBack,
    Granted,
    HealthPeers,
    Hello,
    Holds,
    InForce,
    KeyMade,
    KeysChanged,
    Metrics,
    MetricsRequest,
    NewSnapshot,
    PeerHealth,
    Recall,
    Reshare,
    SharedUsage,
    StateAnswer,
    Welcome,
    encode,
)
from pointsman.link.health import HealthConnection
from pointsman.link.keys import KeyConnection
from pointsman.link.state import ASK_S, AWAY, SILENT, StateConnection
from pointsman.link.usage import UsageConnection
from pointsman.money.ledger import Ledger
from pointsman.money.usage import UsedAmounts
from pointsman.routing.shared_view import SharedView

SILENT_S = 3.0  # after a longer silence the connection counts as lost
PAUSES_S = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)  # between attempts to connect

_logger = logging.getLogger(__name__)

OnAnswer = Callable[[Sequence[Grant] | LeaseUnavailable], None]


class _PendingAsk(Struct):
    """An ask that waits for its answer, with every callback that waits for it."""

    names: list[tuple[str, int]]
    callbacks: list[OnAnswer]
    timer: asyncio.TimerHandle


class LinkClient(asyncio.Protocol):
    """Keeps the connection up.

    `hello` returns the worker's identity for each new connection. `on_snapshot` puts the snapshot in a file into force
    and returns its digest. `metrics` returns the worker's page. `on_connection` is called when the connection is made
    and when it is lost. `amounts` are kept up to date while it is up.
    """

    def __init__(
        self,
        path: str,
        ledger: Ledger,
        hello: Callable[[], Hello],
        on_snapshot: Callable[[str], Awaitable[str]],
        metrics: Callable[[], bytes],
        on_connection: Callable[[bool], None],
        amounts: UsedAmounts,
    ) -> None:
        self._path = path
        self._ledger = ledger
        self._hello = hello
        self._on_snapshot = on_snapshot
        self._metrics = metrics
        self._on_connection = on_connection
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._reader = FrameReader()
        self._lost = asyncio.Event()
        self._pending: dict[int, _PendingAsk] = {}
        self._in_flight: dict[tuple[str, int], int] = {}  # the number of the ask about a counter's window
        self._number = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._loading = asyncio.Lock()
        self._is_draining = False
        self._was_welcome = False  # on this connection
        self.is_connected = False
        self._heard_at = monotonic()
        self.share: Share | None = None
        self.state = StateConnection(self._send)
        self._amounts = amounts
        self._usage = UsageConnection(amounts, self._send)
        self._health: HealthConnection | None = None
        self.keys = KeyConnection(self._send)

    def share_health(self, shared: SharedView) -> None:
        """Exchange the health of providers with other workers, and take the orders of operators about them."""
        self._health = HealthConnection(shared, self._send)

    async def run(self) -> None:
        """Connect, and reconnect for ever."""
        failures = 0
        while True:
            self._lost = asyncio.Event()
            self._was_welcome = False
            try:
                await self._loop.create_unix_connection(lambda: self, self._path)
                await self._lost.wait()
            except OSError:
                pass
            failures = 1 if self._was_welcome else failures + 1
            await asyncio.sleep(PAUSES_S[min(failures, len(PAUSES_S)) - 1])

    def away_since(self, now: float) -> float | None:
        """Return when control was last heard, in monotonic seconds, if it is unreachable or silent; else `None`."""
        return self._heard_at if not self.is_connected or now - self._heard_at > SILENT_S else None

    def close(self) -> None:
        """Close the connection. The caller of `run` has to cancel it."""
        self._usage.close()
        if self._health is not None:
            self._health.disconnected()
        if self._transport is not None:
            self._transport.close()

    def ask(self, requests: Sequence[LeaseRequest], on_answer: OnAnswer, within_s: float | None = None) -> None:
        """Request leases. `on_answer` is called once, with the grants or the reason why there are none. The ledger has
        the grants by then. Asks for windows that are already being requested share one answer. An empty ask is answered
        as soon as control can grant leases. A request for nothing more returns the rest of its limit."""
        if not self.is_connected:
            self._loop.call_soon(on_answer, AWAY)
            return
        names = [(one.counter, one.window) for one in requests if one.more]
        number = self._in_flight.get(names[0]) if names else None
        if number is not None and all(self._in_flight.get(name) == number for name in names):
            self._pending[number].callbacks.append(on_answer)
            return
        self._number += 1
        number = self._number
        self._send(Ask(number, list(requests)))  # first: no caller may wait for an ask that cannot be sent
        timer = self._loop.call_later(within_s or ASK_S, self._answer, number, SILENT)
        self._pending[number] = _PendingAsk(names, [on_answer], timer)
        self._in_flight.update(dict.fromkeys(names, number))

    def drain(self) -> None:
        """Stop opening windows."""
        self._is_draining = True
        self._reshare(NO_SHARE)
        self._send(Draining())

    def give_back(self, returns: Sequence[Return]) -> None:
        """Return amounts that the ledger has taken from its leases. Without a connection, control learns of it from the
        next one."""
        self._usage.send_changes()
        self._send(GiveBack(list(returns)))

    # Called by the event loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one by its methods only
        self._reader = FrameReader()
        self._send(self._hello())

    def data_received(self, data: bytes) -> None:
        self._heard_at = monotonic()
        self._amounts.heard()
        try:
            for body in self._reader.feed(data):
                self._received(FROM_CONTROL.decode(body))
        except (ValueError, msgspec.DecodeError) as error:
            _logger.error("the connection to control is closed, since it sent an unusable frame: %s", error)  # noqa: TRY400
            if self._transport is not None:
                self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._transport = None
        self._lost.set()
        self.state.disconnected()
        self.keys.disconnected()
        self._usage.disconnected()
        if self._health is not None:
            self._health.disconnected()
        for number in list(self._pending):
            self._answer(number, AWAY)
        if self.is_connected:
            self.is_connected = False
            self._on_connection(False)

    # Private methods.

    def _received(self, frame: FromControl) -> None:
        if isinstance(frame, Granted):
            returned = self._ledger.granted(frame.grants)
            if returned:
                self._send(GiveBack(returned))
            self._answer(frame.number, frame.grants)
        elif isinstance(frame, CannotLease):
            self._answer(frame.number, frame.unable)
        elif isinstance(frame, StateAnswer):
            self.state.received(frame)
        elif isinstance(frame, Recall):
            self._usage.send_changes()
            self._send(GiveBack(self._ledger.recall(frame.counters)))
        elif isinstance(frame, SharedUsage):
            self._usage.received(frame)
        elif isinstance(frame, KeysChanged | KeyMade):
            self.keys.received(frame)
        elif isinstance(frame, HealthPeers | PeerHealth | Holds):
            if self._health is not None:
                self._health.received(frame)
        elif isinstance(frame, Welcome):
            self._welcomed(frame)
        elif isinstance(frame, Reshare):
            self._reshare(frame.share)
        elif isinstance(frame, MetricsRequest):
            self._send(Metrics(frame.number, self._metrics()))
        elif isinstance(frame, NewSnapshot):
            task = self._loop.create_task(self._load(frame.path))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _welcomed(self, frame: Welcome) -> None:
        if frame.protocol != PROTOCOL:
            raise ValueError(f"control speaks protocol {frame.protocol}, and this worker speaks protocol {PROTOCOL}")
        self._reshare(frame.share)
        self.is_connected = self._was_welcome = True
        if self._is_draining:
            self._send(Draining())
        self.state.connected()
        self.keys.connected()
        if frame.shares_usage:
            self._usage.connected()
        self._on_connection(True)

    def _reshare(self, share: Share) -> None:
        if self._is_draining:
            share = NO_SHARE
        self.share = share
        self._ledger.reshare(share)

    async def _load(self, path: str) -> None:
        async with self._loading:  # in the order of arrival
            try:
                digest = await self._on_snapshot(path)
            except (OSError, ValueError) as error:
                _logger.error("cannot load the new configuration; the old one stays in force: %s", error)  # noqa: TRY400
                return
            self._send(InForce(digest))

    def _answer(self, number: int, answer: Sequence[Grant] | LeaseUnavailable) -> None:
        """Call every callback that waits for an answer."""
        pending = self._pending.pop(number, None)
        if pending is None:
            return
        pending.timer.cancel()
        for name in pending.names:
            if self._in_flight.get(name) == number:
                del self._in_flight[name]
        for on_answer in pending.callbacks:
            on_answer(answer)

    def _send(self, frame: FromWorker) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(encode(frame))
