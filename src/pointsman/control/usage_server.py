"""Control's exchange of used amounts with the workers. While no decision reads any, it does nothing."""

import asyncio
from collections.abc import Callable, Iterable
from time import monotonic

from pointsman.link.frames import FromControl, SharedUsage, WorkerUsage
from pointsman.money.leases import LeaseTable
from pointsman.money.usage import TICK_S
from pointsman.money.usage_table import UsageTable


class UsageServer:
    """Sends used amounts to the workers whose decisions read them. `send` drops frames to workers that are not
    connected. Before control `knows_all` spending and leases, it sends no amounts."""

    def __init__(
        self,
        lease_table: LeaseTable,
        send: Callable[[int, FromControl], None],
        knows_all: Callable[[], bool],
    ) -> None:
        self._table = UsageTable(lease_table)
        self._send = send
        self._knows_all = knows_all
        self._connected: set[int] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._is_due = False

    def connected(self, epoch: int) -> None:
        """Handle a new connection of a worker."""
        self._connected.add(epoch)
        wanted = self._table.connected(epoch, monotonic())
        if wanted:
            self._send(epoch, SharedUsage(wanted, [], []))

    def lost(self, epoch: int) -> None:
        """Handle the loss of a connection."""
        self._connected.discard(epoch)
        self._stop_reports(self._table.lost(epoch, monotonic()))

    def received(self, epoch: int, frame: WorkerUsage) -> None:
        """Take a frame of a worker. A new reader gets its answer at once, or with the reports of all workers."""
        self._stop_reports(self._table.drop(epoch, frame.drop))
        wanted = self._table.watch(epoch, frame.watch, monotonic()) if frame.watch else []
        self._table.reported(epoch, frame.used)
        if wanted:
            for other in self._connected:
                self._send(other, SharedUsage(wanted, [], []))
        if self._table.is_awaited and not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_soon(self._answer)
        if self._timer is None and not self._table.is_idle:
            self._timer = asyncio.get_running_loop().call_later(TICK_S, self._tick)

    def send_amounts(self, epoch: int, counters: Iterable[str]) -> None:
        """Send a worker the amounts of the counters that it is about to be granted a lease of."""
        if not self._table.is_idle:
            amounts = self._table.amounts_for(epoch, counters)
            if amounts:
                self._send(epoch, SharedUsage([], [], amounts))

    def close(self) -> None:
        """Stop."""
        if self._timer is not None:
            self._timer.cancel()

    def _answer(self) -> None:
        self._is_due = False
        if self._knows_all():
            for epoch, amounts in self._table.first_amounts(monotonic()).items():
                self._send(epoch, SharedUsage([], [], amounts))

    def _tick(self) -> None:
        self._timer = None
        if self._table.is_idle:
            return
        self._timer = asyncio.get_running_loop().call_later(TICK_S, self._tick)
        if self._knows_all():
            for epoch, amounts in self._table.amounts(monotonic()).items():
                self._send(epoch, SharedUsage([], [], amounts))

    def _stop_reports(self, unwanted: list[str]) -> None:
        if unwanted:
            for epoch in self._connected:
                self._send(epoch, SharedUsage([], unwanted, []))
