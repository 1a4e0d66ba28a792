"""What control has lent to workers of each limit. The other end is `routing.ledger`.

For every window of a counter: `posted + what all workers hold unspent <= limit`, but for soft limits, overruns, and
limits that were lowered below what was spent and lent already. What a worker holds unspent is what it was granted less
what was read of its spending in its journal; so it falls as the journal is read, and a dead worker's is free once its
journal is read to the end.
"""

from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct

from pointsman.domain.leases import EVERYTHING, Grant, Holding, Return, Share, Want
from pointsman.domain.limits import Limit

NEVER = float("inf")


class Spent(Struct, frozen=True):
    """One window of a counter: `posted` is spent and known, `lent` is held unspent by workers."""

    counter: str
    window: int
    posted: int
    lent: int
    limit: Limit | None


class _Worker(Struct):
    slot: int
    share: Share
    until: float = NEVER  # windows that begin later it does not open


class _Window:
    __slots__ = ("granted", "posted", "read")

    def __init__(self, read: dict[int, int]) -> None:
        self.posted = sum(read.values())
        self.granted: dict[int, int] = {}  # by epoch
        self.read = read  # what was read of its spending, by epoch

    def held(self, epoch: int) -> int:
        return max(0, self.granted.get(epoch, 0) - self.read.get(epoch, 0))

    def lent(self) -> int:
        return sum(self.held(epoch) for epoch in self.granted)


class LeaseBook:
    """All leases of one machine. Workers are known by their epochs."""

    def __init__(self, workers: int) -> None:
        self.size = workers
        self._limits: Mapping[str, Limit] = {}
        self._workers: dict[int, _Worker] = {}
        self._windows: dict[tuple[str, int], _Window] = {}
        self._posted: dict[tuple[str, int], dict[int, int]] = {}  # of windows that nobody has asked about yet

    def configure(self, limits: Mapping[str, Limit]) -> None:
        """The limits in force, by the names of their counters."""
        self._limits = limits

    def restore(self, rows: Iterable[tuple[str, int, int, int]]) -> None:
        """What the store says was spent, before anything else is known: counter, window, epoch, amount."""
        for counter, start, epoch, amount in rows:
            self._posted.setdefault((counter, start), {})[epoch] = amount

    def join(self, epoch: int, slot: int, now: float) -> Share:
        """A worker is new, or has lost its share. Where another holds the slot, it gets none until that one leaves."""
        known = self._workers.get(epoch)
        if known is not None:
            return known.share
        is_taken = any(one.slot == slot and one.until == NEVER for one in self._workers.values())
        share = Share(0, self.size, NEVER) if is_taken else Share(1, self.size, now)
        self._workers[epoch] = _Worker(slot, share)
        return share

    def hello(self, epoch: int, slot: int, share: Share | None, holdings: Iterable[Holding], now: float) -> Share:
        """A worker says what it has. What it says holds: it alone knows what reached it."""
        if epoch not in self._workers and share is not None:
            self._workers[epoch] = _Worker(slot, share)
        share = self.join(epoch, slot, now)
        for holding in holdings:
            self._window(holding.counter, holding.window).granted[epoch] = holding.granted
        return share

    def draining(self, epoch: int, now: float) -> list[tuple[int, Share]]:
        """A worker opens no window any more; returns who gets its share."""
        worker = self._workers.get(epoch)
        if worker is None or worker.until != NEVER:
            return []
        worker.until = now
        return self._hand_on(worker.slot, now)

    def retire(self, epoch: int, now: float) -> list[tuple[int, Share]]:
        """A dead worker's journal was read to the end: what it held is free. Returns who gets its share."""
        for window in self._windows.values():
            window.granted.pop(epoch, None)
        worker = self._workers.pop(epoch, None)
        return self._hand_on(worker.slot, now) if worker is not None and worker.until == NEVER else []

    def ask(self, epoch: int, wants: Iterable[Want]) -> tuple[list[Grant], dict[int, list[tuple[str, int]]]]:
        """Grants, and for each other worker what it is asked to give back."""
        grants: list[Grant] = []
        recalls: dict[int, list[tuple[str, int]]] = {}
        for want in wants:
            window = self._window(want.counter, want.window)
            limit = self._limits.get(want.counter)
            granted = window.granted.get(epoch, 0)
            lent = window.lent() - window.held(epoch)
            if limit is None:  # no longer a limit
                window.granted[epoch] = granted + want.more
                grants.append(Grant(want.counter, want.window, want.more, 0, 0))
                continue
            free = limit.amount - window.posted - window.lent()
            given = self._given(want.more, free)
            if given:
                window.granted[epoch] = granted + given
            else:
                for other in window.granted:
                    if other != epoch and window.held(other):
                        recalls.setdefault(other, []).append((want.counter, want.window))
            grants.append(Grant(want.counter, want.window, given, max(free - given, 0), lent))
        return grants, recalls

    def give_back(self, epoch: int, returns: Iterable[Return]) -> None:
        """A worker has no need of these."""
        for one in returns:
            granted = self._window(one.counter, one.window).granted
            granted[epoch] = granted.get(epoch, 0) - one.amount if one.amount != EVERYTHING else 0

    def charge(self, epoch: int, counter: str, window: int, amount: int) -> None:
        """Spending was read in a worker's journal, and the store has it."""
        found = self._window(counter, window)
        found.posted += amount
        found.read[epoch] = found.read.get(epoch, 0) + amount

    def charged(self, epoch: int, counter: str, window: int, amount: int) -> None:
        """The store has this much of a worker's spending, in all; some of it may not have been told yet."""
        known = self._window(counter, window).read.get(epoch, 0)
        if amount > known:
            self.charge(epoch, counter, window, amount - known)

    def status(self) -> list[Spent]:
        """Every window that was spent in or lent from."""
        return list(self.spent())

    def spent(self, owner: str | None = None) -> Iterator[Spent]:
        """Every window that was spent in or lent from, one by one: there may be very many. `owner` is such as
        `team:research`."""
        prefix = f"{owner}|" if owner is not None else ""
        for (counter, start), window in self._windows.items():
            if counter.startswith(prefix):
                yield Spent(counter, start, window.posted, window.lent(), self._limits.get(counter))
        for (counter, start), read in self._posted.items():
            if counter.startswith(prefix):
                yield Spent(counter, start, sum(read.values()), 0, self._limits.get(counter))

    def forget_ended(self, now: float) -> None:
        """Windows that are over and in which nothing is held any more."""
        for (counter, start), window in list(self._windows.items()):
            limit = self._limits.get(counter)
            end = limit.period.window(start)[1] if limit is not None else start
            if end + 3600 < now and not window.lent():
                del self._windows[counter, start]

    def _given(self, more: int, free: int) -> int:
        """Alone, a worker gets all there is; else slices that shrink as the limit nears. Nothing, where it would not
        be enough."""
        if free < more:
            return 0
        alone = len(self._workers) <= 1
        return free if alone else max(more, free // (2 * len(self._workers)))

    def _window(self, counter: str, start: int) -> _Window:
        window = self._windows.get((counter, start))
        if window is None:
            window = self._windows[counter, start] = _Window(self._posted.pop((counter, start), {}))
            limit = self._limits.get(counter)
            if limit is not None:
                for epoch, worker in self._workers.items():
                    share = worker.share
                    if share.part and share.since <= start < worker.until:
                        window.granted[epoch] = limit.amount * share.part // share.whole
        return window

    def _hand_on(self, slot: int, now: float) -> list[tuple[int, Share]]:
        """The share of a slot goes to who waits for it, if anybody does."""
        for epoch, worker in self._workers.items():
            if worker.slot == slot and worker.until == NEVER and not worker.share.part:
                worker.share = Share(1, self.size, now)
                return [(epoch, worker.share)]
        return []
