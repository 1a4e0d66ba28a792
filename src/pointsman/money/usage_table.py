"""Control's knowledge of the used amounts of limits, for the workers whose decisions read them. `UsedAmounts` is a
worker's side.

Workers report the amount they have spent and reserved, for the counters that some worker reads. It counts for a worker
if it is higher than its spending in the journals. Of a worker that cannot report, the whole lease counts as used. So
the sum is never below the reported and ingested amounts, and is never above the limit, except by overruns.
"""

from collections.abc import Iterable

from pointsman.domain.leases import UsedElsewhere, UsedHere
from pointsman.money.leases import LeaseTable

PATIENCE_S = 0.3  # how long the amount of a counter waits for the reports of new workers
KEPT_S = 1.0  # how long the reports of a worker count after its connection was lost
CHECKED_AT_ONCE = 300  # counters that are compared without a reason: each takes a few microseconds


class _WatchedCounter:
    """A counter in its latest window. `readers` has the amount last sent to each worker that reads it. Until
    `patient_until`, nothing is sent while the workers in `unheard` have not reported yet."""

    __slots__ = ("patient_until", "readers", "reports", "unheard", "window")

    def __init__(self, window: int, unheard: set[int], patient_until: float) -> None:
        self.window = window
        self.readers: dict[int, UsedElsewhere | None] = {}
        self.reports: dict[int, int] = {}
        self.unheard = unheard
        self.patient_until = patient_until


class UsageTable:
    """The counters that decisions read, on one machine. Workers are identified by their epochs, and `now` is in
    monotonic seconds."""

    def __init__(self, lease_table: LeaseTable) -> None:
        self._lease_table = lease_table
        self._counters: dict[str, _WatchedCounter] = {}
        self._connected: set[int] = set()
        self._lost: dict[int, float] = {}  # workers whose connection was lost, and when
        self._changed: dict[str, None] = {}  # counters to compare
        self._awaited: dict[str, None] = {}  # counters that a reader has no amount of
        self._unchecked: list[str] = []  # counters to compare sooner or later

    @property
    def is_idle(self) -> bool:
        """Return whether no decision reads a used amount."""
        return not self._counters

    @property
    def is_awaited(self) -> bool:
        """Return whether a reader has no amount of a counter yet."""
        return bool(self._awaited)

    def connected(self, epoch: int, now: float) -> list[str]:
        """Add a worker. Return the counters that it should report."""
        self._connected.add(epoch)
        self._lost.pop(epoch, None)
        for counter in self._counters.values():
            counter.reports.pop(epoch, None)  # the worker may have returned some of it over the lost connection
            counter.unheard.add(epoch)
            counter.patient_until = now + PATIENCE_S
        return list(self._counters)

    def lost(self, epoch: int, now: float) -> list[str]:
        """Note the loss of a connection. Return the counters that nobody reads any more."""
        self._connected.discard(epoch)
        self._lost[epoch] = now
        for counter in self._counters.values():
            counter.unheard.discard(epoch)
        return self.drop(epoch, list(self._counters))

    def watch(self, epoch: int, names: Iterable[tuple[str, int]], now: float) -> list[str]:
        """Note that a worker reads these counters, whose windows it names. Return those that are new: all workers
        should report them."""
        new: list[str] = []
        for name, start in names:
            counter = self._counters.get(name)
            if counter is None:
                counter = self._counters[name] = _WatchedCounter(start, set(self._connected), now + PATIENCE_S)
                new.append(name)
            else:
                self._advance(name, counter, start)
            counter.readers[epoch] = None
            self._awaited[name] = None
        return new

    def drop(self, epoch: int, names: Iterable[str]) -> list[str]:
        """Note that a worker no longer reads these counters. Return those that nobody reads any more."""
        unread: list[str] = []
        for name in names:
            counter = self._counters.get(name)
            if counter is not None and counter.readers.pop(epoch, counter) is not counter and not counter.readers:
                del self._counters[name]
                self._changed.pop(name, None)
                self._awaited.pop(name, None)
                unread.append(name)
        return unread

    def reported(self, epoch: int, used: Iterable[UsedHere]) -> None:
        """Take the reports of a worker."""
        for one in used:
            counter = self._counters.get(one.counter)
            if counter is not None:
                self._advance(one.counter, counter, one.window)
                counter.reports[epoch] = one.amount if one.window == counter.window else 0
                counter.unheard.discard(epoch)
                self._changed[one.counter] = None

    def amounts(self, now: float, most: int = CHECKED_AT_ONCE) -> dict[int, list[UsedElsewhere]]:
        """Return the amounts that changed, by the worker to send them to. At most `most` counters without a report are
        compared, in turn: their spending may have been ingested or corrected, or a lease have ended."""
        for epoch in [one for one, lost_at in self._lost.items() if now > lost_at + KEPT_S]:
            del self._lost[epoch]
            for name, counter in self._counters.items():
                if counter.reports.pop(epoch, None) is not None:
                    self._changed[name] = None
        if not self._unchecked:
            self._unchecked = list(self._counters)
        unchecked, self._unchecked = self._unchecked[:most], self._unchecked[most:]
        names = [*self._awaited, *self._changed, *(name for name in unchecked if name in self._counters)]
        return self._compared(dict.fromkeys(names), now)

    def first_amounts(self, now: float) -> dict[int, list[UsedElsewhere]]:
        """Return the amounts of the counters that a reader has none of, if all workers have reported them."""
        return self._compared([name for name in self._awaited if not self._counters[name].unheard], now)

    def _compared(self, names: Iterable[str], now: float) -> dict[int, list[UsedElsewhere]]:
        amounts: dict[int, list[UsedElsewhere]] = {}
        for name in names:
            counter = self._counters[name]
            if not counter.unheard or now >= counter.patient_until:
                counter.unheard = set()
                self._changed.pop(name, None)
                self._awaited.pop(name, None)
                self._compare(name, counter, counter.readers, amounts)
        return amounts

    def amounts_for(self, epoch: int, names: Iterable[str]) -> list[UsedElsewhere]:
        """Return the amounts of these counters that changed for one worker. It needs them before it is granted a lease
        that others returned: otherwise that would count twice."""
        amounts: dict[int, list[UsedElsewhere]] = {}
        for name in names:
            counter = self._counters.get(name)
            if counter is not None and counter.readers.get(epoch) is not None:
                self._compare(name, counter, (epoch,), amounts)
        return amounts.get(epoch, [])

    def _compare(
        self, name: str, counter: _WatchedCounter, readers: Iterable[int], amounts: dict[int, list[UsedElsewhere]]
    ) -> None:
        """Add the amounts that differ from those last sent."""
        start, reports = counter.window, counter.reports
        read, leased = self._lease_table.used_by((name, start), reports)
        used = dict(read)
        for epoch, lease in leased.items():
            used[epoch] = read.get(epoch, 0) + lease
        for epoch, amount in reports.items():
            used[epoch] = max(read.get(epoch, 0), amount)
        total = sum(used.values())
        for reader in readers:
            known = read.get(reader, 0)
            at_least = known if known > reports.get(reader, 0) else 0
            amount = total - used.get(reader, 0)
            sent = counter.readers[reader]
            if sent is None or sent.amount != amount or sent.at_least != at_least or sent.window != start:
                counter.readers[reader] = one = UsedElsewhere(name, start, amount, at_least)
                amounts.setdefault(reader, []).append(one)

    def _advance(self, name: str, counter: _WatchedCounter, start: int) -> None:
        """Follow a worker into a window. An earlier one counts only if the period of the limit has changed."""
        if start <= counter.window:
            limit = self._lease_table.limits.get(name)
            if start == counter.window or not start or limit is None or not counter.window:
                return
            if limit.period.window(counter.window)[0] == counter.window:
                return
        counter.window = start
        counter.reports = dict.fromkeys(counter.reports, 0)
