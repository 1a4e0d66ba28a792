"""The leases that control grants to workers. `money.ledger` is a worker's side of them.

For every window of a counter: `posted + all workers' unspent leases <= limit`. The exceptions are soft limits,
overruns, and limits that were lowered below the amount already spent and leased. A worker's unspent lease is its grant
less the spending read from its journal. So it falls as the journal is read, and a dead worker's lease is free once its
journal is fully read.

The order of events makes no difference to the state. Each window records, for each worker, the spending that was read
and the amount that was granted, and computes the rest on request:

- Rows from the store are merged whenever they arrive, and may arrive twice: for each worker the higher figure counts.
- The amount with which a worker opened a window follows from its share and from the limit, whichever came first.
- A retired worker is dead for good. A later frame from it changes nothing; its spending stays.
- No lease is granted before the store has been read and every worker has connected.
"""

from collections.abc import Collection, Container, Iterable, Iterator, Mapping
from fractions import Fraction

from msgspec import Struct

from pointsman.domain.leases import NO_SHARE, Grant, Holding, LeaseRequest, Return, Share
from pointsman.domain.limits import Limit

NEVER = float("inf")
KEEP_S = 3600.0  # how long an ended window is kept: attempts may still be charged in it
CORRECTIONS = 0  # an epoch that no worker has
FORGET_AT_ONCE = 3000  # windows: the loop is blocked meanwhile
MAX_RETIRED = 4096  # retired workers to remember: a frame of theirs may still be in transit

Name = tuple[str, int]
"""A window: its counter and its start in Unix seconds."""

Row = tuple[str, int, int, int]
"""Spending: counter, window, epoch, amount."""


class Spent(Struct, frozen=True):
    """One window of a counter: `posted` is the known spending, `leased` the unspent leases of workers."""

    counter: str
    window: int
    posted: int
    leased: int
    limit: Limit | None


class _LeaseHolder(Struct):
    slot: int
    share: Share
    until: float = NEVER  # it opens no window that begins later


class _LeasedWindow:
    """The amounts in one window, by epoch. `read` is the known spending of a worker. `granted` is the total granted to
    it, including the amount with which it `opened` the window. A worker without an entry in either counts as holding
    the amount of its share."""

    __slots__ = ("granted", "opened", "posted", "read")

    def __init__(self) -> None:
        self.posted = 0
        self.read: dict[int, int] = {}
        self.granted: dict[int, int] = {}
        self.opened: dict[int, int] = {}

    def add_spending(self, epoch: int, amount: int) -> None:
        """Add an amount to the known spending of a worker."""
        self.posted += amount
        self.read[epoch] = self.read.get(epoch, 0) + amount

    def record_opening(self, epoch: int, opened: int) -> None:
        """Record the amount with which a worker opened the window."""
        self.granted[epoch] = self.granted.get(epoch, 0) + opened - self.opened.get(epoch, 0)
        self.opened[epoch] = opened


_NO_WINDOW = _LeasedWindow()
_NO_REPORTS: Mapping[int, int] = {}


class _Ending(Struct):
    """The windows that end at one moment."""

    names: list[Name]
    over_at: float | None = None  # when they were first seen to be over, by the monotonic clock


class _Windows:
    """The windows in which workers spent or hold something, by name, by owner, and by the moment they end."""

    def __init__(self) -> None:
        self.limits: Mapping[str, Limit] = {}
        self.by_name: dict[Name, _LeasedWindow] = {}
        self._ends: dict[float, _Ending] = {}
        self._owned: dict[str, dict[Name, None]] = {}  # by owner: there may be very many in all

    def configure(self, limits: Mapping[str, Limit]) -> None:
        """Take the limits in force, by the names of their counters."""
        self.limits = limits
        unknown = self._ends.pop(NEVER, None)
        for name in unknown.names if unknown is not None else ():
            self._ends.setdefault(self._end(name), _Ending([])).names.append(name)

    def names(self, owner: str | None) -> list[Name]:
        """Return all windows, or those of one owner such as `team:research`."""
        return list(self.by_name if owner is None else self._owned.get(owner, ()))

    def get_or_make(self, name: Name) -> _LeasedWindow:
        """Return the window of this name, and make it if there is none."""
        window = self.by_name.get(name)
        if window is None:
            window = self.by_name[name] = _LeasedWindow()
            self._ends.setdefault(self._end(name), _Ending([])).names.append(name)
            self._owned.setdefault(_owner(name[0]), {})[name] = None
        return window

    def forget_ended(self, now_unix_s: float, now: float) -> list[Name]:
        """Drop windows that ended more than `KEEP_S` ago, some at a time. Returns their names."""
        forgotten: list[Name] = []
        for end, ending in list(self._ends.items()):
            left = FORGET_AT_ONCE - len(forgotten)
            if end > now_unix_s:
                ending.over_at = None
            elif ending.over_at is None:
                ending.over_at = now
            elif left and ending.over_at + KEEP_S < now:
                forgotten += ending.names[-left:]
                del ending.names[-left:]
                if not ending.names:
                    del self._ends[end]
        for name in forgotten:
            del self.by_name[name]
            owner = _owner(name[0])
            owned = self._owned[owner]
            del owned[name]
            if not owned:
                del self._owned[owner]
        return forgotten

    def _end(self, name: Name) -> float:
        """Return the end of a window, which depends on its limit."""
        limit = self.limits.get(name[0])
        return limit.period.window(name[1])[1] if limit is not None else NEVER


class ChangedWindows:
    """The windows whose spending changed since somebody asked. Nothing is noted before the first question."""

    def __init__(self) -> None:
        self._names: dict[Name, None] | None = None
        self._mark = ""

    def note(self, name: Name) -> None:
        if self._names is not None:
            self._names[name] = None

    def forget(self, name: Name) -> None:
        if self._names is not None:
            self._names.pop(name, None)

    def since(self, mark: str, new_mark: str) -> list[Name] | None:
        """Return the windows that changed since the call that set `mark`, or `None` if that was not the last call.
        `new_mark` is for the next one."""
        names, self._names = self._names, {}
        is_next = names is not None and mark == self._mark
        self._mark = new_mark
        return list(names or ()) if is_next else None


class LeaseTable:
    """All leases of one machine. Workers are identified by their epochs.

    A new table does not `know_all`: live workers may not have connected yet, and the spending is in the store. Before
    `restore` and `know_all` it grants no lease, and before `know_all` no share.
    """

    def __init__(self, workers: int, *, knows_all: bool = True) -> None:
        self.size = workers
        self._knows_all = self._is_restored = knows_all
        self._workers: dict[int, _LeaseHolder] = {}
        self._retired: dict[int, None] = {}
        self._windows = _Windows()
        self._latest = 0  # the latest beginning of any window that a worker has named
        self._ahead: dict[int, dict[Name, None]] = {}  # by epoch: windows leased without a request, not yet named by it
        self._again: dict[int, dict[Name, int]] = {}  # by epoch: amounts that will be charged once more
        self.changes = ChangedWindows()

    @property
    def limits(self) -> Mapping[str, Limit]:
        """The limits in force, by the names of their counters."""
        return self._windows.limits

    def configure(self, limits: Mapping[str, Limit]) -> None:
        """Take the limits in force, by the names of their counters."""
        self._windows.configure(limits)

    def restore(self, rows: Iterable[Row], lost: Collection[int] = ()) -> None:
        """Merge the spending of all or some workers from the store. Charges that follow are not in it.

        For the workers in `lost` all rows are here, and the store has less than it had. Their journals are read again
        from an earlier position, and amounts that this table knows already must not count twice.
        """
        self._is_restored = True
        for epoch in [one for one in self._again if one in lost]:
            del self._again[epoch]
        stored: dict[tuple[Name, int], int] = {}
        for counter, start, epoch, amount in rows:
            window = self._windows.get_or_make((counter, start))
            if epoch == CORRECTIONS:
                self.corrected(counter, start, amount)
                continue
            window.add_spending(epoch, max(0, amount - window.read.get(epoch, 0)))
            self.changes.note((counter, start))
            if epoch in lost:
                stored[(counter, start), epoch] = amount
        if lost:
            for name, window in self._windows.by_name.items():
                for epoch, known in window.read.items():
                    if epoch in lost and known > (there := stored.get((name, epoch), 0)):
                        self._again.setdefault(epoch, {})[name] = known - there

    def join(self, epoch: int, slot: int, now: float) -> Share:
        """Add a worker that is new or has lost its share. It gets no share while the others hold too much for it."""
        if epoch in self._retired:
            return NO_SHARE
        worker = self._workers.get(epoch)
        if worker is None:
            worker = self._workers[epoch] = _LeaseHolder(slot, NO_SHARE)
            self._give_shares(now, slot)
        return worker.share if worker.until == NEVER else NO_SHARE

    def hello(self, epoch: int, slot: int, share: Share | None, holdings: Iterable[Holding], now: float) -> Share:
        """Take the leases that a worker reports. It is authoritative: only the worker knows which grants reached it."""
        if epoch in self._retired:  # the worker was killed while this was in transit
            return NO_SHARE
        if share is not None:
            known = self._workers.get(epoch)
            if known is None:
                self._workers[epoch] = _LeaseHolder(slot, share)
            elif known.share.part and share.part:
                known.share = Share(known.share.part, known.share.whole, max(known.share.since, share.since))
        share = self.join(epoch, slot, now)
        for name in self._ahead.pop(epoch, ()):  # the worker does not hold leases that did not reach it
            self._windows.by_name[name].granted.pop(epoch, None)
        for holding in holdings:
            window = self._named(holding.counter, holding.window)
            window.granted[epoch] = holding.granted
            window.opened[epoch] = holding.opened
        return share

    def know_all(self, now: float) -> list[tuple[int, Share]]:
        """Record that every live worker has reported its leases. Return the workers that get a share."""
        self._knows_all = True
        return self._give_shares(now)

    def draining(self, epoch: int, now: float) -> list[tuple[int, Share]]:
        """Record that a worker opens no more windows. Return the workers that get its share."""
        worker = self._workers.get(epoch)
        if worker is None or worker.until != NEVER:
            return []
        worker.until = self._from(now)
        return self._give_shares(now, worker.slot)

    def retire(self, epoch: int, now: float) -> list[tuple[int, Share]]:
        """Free the leases of a dead worker whose journal is fully read. Return the workers that get its share."""
        self._retired[epoch] = None
        if len(self._retired) > MAX_RETIRED:
            del self._retired[next(iter(self._retired))]
        for window in self._windows.by_name.values():
            window.granted.pop(epoch, None)
            window.opened.pop(epoch, None)
        self._ahead.pop(epoch, None)
        worker = self._workers.pop(epoch, None)
        return self._give_shares(now, worker.slot) if worker is not None else []

    def ask(self, epoch: int, requests: Iterable[LeaseRequest]) -> tuple[list[Grant], dict[int, list[tuple[str, int]]]]:
        """Return the grants, and for each other worker the windows whose leases it should return."""
        grants: list[Grant] = []
        recalls: dict[int, list[tuple[str, int]]] = {}
        if epoch in self._retired or not (self._knows_all and self._is_restored):
            return [Grant(request.counter, request.window, 0, 0, 0) for request in requests], recalls
        for request in requests:
            name = request.counter, request.window
            window = self._record_opening(epoch, request)
            limit = self._windows.limits.get(request.counter)
            if limit is None:  # no longer a limit
                window.granted[epoch] += request.more
                grants.append(Grant(*name, request.more, 0, 0))
                continue
            held = self._held(name, window)
            free = limit.amount - window.posted - sum(held.values())
            elsewhere = sum(held.values()) - held.get(epoch, 0)
            granted = _amount_to_grant(request.more, free, len(self._workers))
            if granted:
                window.granted[epoch] += granted
            elif request.more:  # a request for 0 only asks for the remaining amount
                for other in held:
                    if other != epoch:
                        recalls.setdefault(other, []).append(name)
            grants.append(Grant(*name, granted, max(free - granted, 0), elsewhere))
        return grants, recalls

    def lease_ahead(self, epoch: int, grants: Iterable[Grant], reached: Container[int]) -> dict[int, list[Grant]]:
        """Grant leases to other workers without a request, in windows where one worker was just granted a lease and
        they hold none. So each worker can serve every known key if control goes away. The total is less than half of
        the free amount. `reached` are the workers that a grant would reach."""
        ahead: dict[int, list[Grant]] = {}
        others = [other for other, worker in self._workers.items() if other != epoch and worker.until == NEVER]
        for grant in grants:
            name = grant.counter, grant.window
            window, limit = self._windows.by_name.get(name), self._windows.limits.get(grant.counter)
            if window is None or limit is None or not grant.granted:
                continue
            held = self._held(name, window)
            part = (limit.amount - window.posted - sum(held.values())) // (2 * len(self._workers))
            for other in others if part > 0 else ():
                if other not in window.granted and other not in held and other in reached:
                    window.granted[other] = part
                    self._ahead.setdefault(other, {})[name] = None
                    ahead.setdefault(other, []).append(Grant(*name, part, 0, 0))
        return ahead

    def give_back(self, epoch: int, returns: Iterable[Return]) -> None:
        """Take back amounts that a worker does not need."""
        for one in returns if epoch not in self._retired else ():
            window = self._record_opening(epoch, one)
            window.granted[epoch] -= one.amount

    def charge(self, epoch: int, counter: str, window: int, amount: int) -> None:
        """Count spending that was read in a worker's journal and is in the store."""
        name = counter, window
        again = self._again.get(epoch)
        if again is not None and name in again:
            known = min(again[name], amount)
            again[name] -= known
            amount -= known
        self._named(counter, window).add_spending(epoch, amount)
        self.changes.note(name)

    def corrected(self, counter: str, window: int, amount: int) -> None:
        """Apply the total correction of a window by reconciling; it may be reported twice. The amount is free at once:
        the workers that spent it hold none of it. An unknown window is over, or the store reports it later."""
        found = self._windows.by_name.get((counter, window))
        if found is not None:
            found.add_spending(CORRECTIONS, amount - found.read.get(CORRECTIONS, 0))
            self.changes.note((counter, window))

    def used_by(self, name: Name, reports: Mapping[int, int] = _NO_REPORTS) -> tuple[Mapping[int, int], dict[int, int]]:
        """Return the known spending in a window, and the unspent leases, by worker. Corrections count as a worker.
        There are no leases if all holders are in `reports`: their leases do not matter to the caller."""
        window = self._windows.by_name.get(name, _NO_WINDOW)
        if window.granted.keys() <= reports.keys() and self._workers.keys() <= reports.keys():
            return window.read, {}
        return window.read, self._held(name, window)

    def status(self) -> list[Spent]:
        """Return every window with spending or leases."""
        return list(self.spent())

    def spent(self) -> Iterator[Spent]:
        """Yield the same one at a time, because there may be very many."""
        return map(self.spent_in, self._windows.by_name)

    def names(self, owner: str | None = None) -> list[Name]:
        """Return the windows with spending or leases; with `owner`, such as `team:research`, only its own."""
        return self._windows.names(owner)

    def spent_in(self, name: Name) -> Spent:
        """Return the spending and the leases of a window."""
        counter, start = name
        window, limit = self._windows.by_name.get(name), self._windows.limits.get(counter)
        if window is None:
            return Spent(counter, start, 0, 0, limit)
        return Spent(counter, start, window.posted, sum(self._held(name, window).values()), limit)

    def forget_ended(self, now_unix_s: float, now: float) -> None:
        """Drop windows that ended long ago, some at a time. `now` is in monotonic seconds, so that a clock that is
        wrong for a moment drops nothing."""
        for name in self._windows.forget_ended(now_unix_s, now):
            self.changes.forget(name)
            for ahead in self._ahead.values():
                ahead.pop(name, None)
            for again in self._again.values():
                again.pop(name, None)

    def _record_opening(self, epoch: int, message: LeaseRequest | Return) -> _LeasedWindow:
        """Return the window that a worker names, and record the amount with which it opened the window."""
        window = self._named(message.counter, message.window)
        window.record_opening(epoch, message.opened)
        if epoch in self._ahead:
            self._ahead[epoch].pop((message.counter, message.window), None)
        return window

    def _held(self, name: Name, window: _LeasedWindow) -> dict[int, int]:
        """Return the unspent lease of each worker in a window, if it has one."""
        granted = dict(window.granted)
        counter, start = name
        limit = self._windows.limits.get(counter)
        if limit is not None:
            for epoch, worker in self._workers.items():
                share = worker.share
                if share.part and share.since <= start < worker.until and epoch not in granted:
                    granted[epoch] = limit.amount * share.part // share.whole
        read = window.read
        return {epoch: all_ - read.get(epoch, 0) for epoch, all_ in granted.items() if all_ > read.get(epoch, 0)}

    def _named(self, counter: str, start: int) -> _LeasedWindow:
        """Return a window that a worker names, and record its start."""
        self._latest = max(self._latest, start)
        return self._windows.get_or_make((counter, start))

    def _from(self, now: float) -> float:
        """Return the next second, after every window that can have been opened: the clock may have been set back."""
        return float(max(int(now), self._latest) + 1)

    def _give_shares(self, now: float, slot: int | None = None) -> list[tuple[int, Share]]:
        """Give shares to waiting workers while the sum is at most the whole. The successor in a slot comes first."""
        if not self._knows_all:
            return []
        receivers: list[tuple[int, Share]] = []
        living = [(epoch, worker) for epoch, worker in self._workers.items() if worker.until == NEVER]
        taken = sum((Fraction(one.share.part, one.share.whole) for _, one in living), Fraction(0))
        for epoch, worker in sorted(living, key=lambda found: found[1].slot != slot):
            if not worker.share.part and taken + Fraction(1, self.size) <= 1:
                worker.share = Share(1, self.size, self._from(now))
                taken += Fraction(1, self.size)
                receivers.append((epoch, worker.share))
        return receivers


def _owner(counter: str) -> str:
    """Return the owner of a counter: its name is owner, metric and period."""
    return counter.rsplit("|", 2)[0]


def _amount_to_grant(more: int, free: int, workers: int) -> int:
    """Return the amount to grant. A worker that is alone gets all; otherwise slices shrink as the limit nears. The
    grant is 0 if it would not be enough, or if the worker only asks for the remaining amount."""
    if free < more or not more:
        return 0
    return free if workers <= 1 else max(more, free // (2 * workers))
