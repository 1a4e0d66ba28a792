"""A worker's exchange of used amounts with control. While no decision reads any, it does nothing."""

import asyncio
from collections.abc import Callable

from pointsman.link.frames import FromWorker, SharedUsage, WorkerUsage
from pointsman.money.usage import TICK_S, UsedAmounts


class UsageConnection:
    """The part of the connection that is about used amounts. `send` takes a frame, and drops it if there is no
    connection."""

    def __init__(self, amounts: UsedAmounts, send: Callable[[FromWorker], None]) -> None:
        self._amounts = amounts
        self._send = send
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._is_due = False
        self._is_up = False
        amounts.share(self._news)

    def connected(self) -> None:
        """Handle a new connection."""
        self._is_up = True
        self._amounts.connected()
        self.send_changes()

    def disconnected(self) -> None:
        """Handle the loss of the connection."""
        self._is_up = False

    def close(self) -> None:
        """Stop."""
        if self._timer is not None:
            self._timer.cancel()

    def received(self, frame: SharedUsage) -> None:
        """Take a frame. Control waits for the amounts that it wants for the first time."""
        self._amounts.wanted(frame.wanted, frame.unwanted)
        self._amounts.take(frame.used)
        if frame.wanted:
            self.send_changes()
        self._start()

    def send_changes(self) -> None:
        """Send all changes. This comes before a return of leases, so that control never counts the returned amount
        twice."""
        self._is_due = False
        if self._is_up and (changes := self._amounts.changes()) is not None:
            self._send(WorkerUsage(changes.watch, changes.drop, changes.used))

    def _news(self) -> None:
        """Ask control for counters, after the decision that reads them."""
        self._start()
        if not self._is_due:
            self._is_due = True
            self._loop.call_soon(self.send_changes)

    def _start(self) -> None:
        if self._timer is None and not self._amounts.is_idle:
            self._timer = self._loop.call_later(TICK_S, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._amounts.tick()
        self.send_changes()
        self._start()
