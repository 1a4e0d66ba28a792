"""A worker's reservations and spending in each limit, within the amounts that control granted.

There are two phases. `reserve` takes an upper bound from every counter that applies, all or none. `settle` replaces it
with the amount used, and `release` returns it. All are idempotent by attempt id. In each window `settled + reserved <=
granted`, except for soft limits and attempts that used more than their bound.

A settlement counts in the window of its reservation. Windows never reopen: if the clock runs backwards, the latest
moment it has shown counts.
"""

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from pointsman.domain.leases import ALONE, Grant, Holding, LeaseRequest, Return, Share
from pointsman.domain.limits import Limit
from pointsman.money.waived import WaivedWindows

_KINDS = {"usd": 0, "tokens": 1, "requests": 2}
_EACH_ATTEMPT = 3
MAX_COUNTER_SETS = 50_000
MAX_AHEAD = 50_000
TIDY_FROM = 10_000  # counters of end users: past this number, those of ended windows are dropped


class Window:
    """One window of a counter. `free` is granted but neither reserved nor settled; it is below 0 after a soft limit or
    an overrun went beyond. `opened` is the amount granted at the opening. `kind` is the index of the attempt's amount
    that counts."""

    __slots__ = ("counter", "end", "free", "granted", "kind", "opened", "reserved", "start")

    def __init__(self, counter: "LimitCounter", start: int, end: int, granted: int) -> None:
        self.counter = counter
        self.kind = counter.kind
        self.start = start
        self.end = end
        self.opened = self.granted = self.free = granted
        self.reserved = 0

    @property
    def settled(self) -> int:
        return self.granted - self.free - self.reserved

    def grant(self, more: int) -> None:
        """Add to the granted amount; a negative number takes from it."""
        self.granted += more
        self.free += more


class LimitCounter:
    """A limit with its present window."""

    __slots__ = ("is_soft", "kind", "limit", "name", "window")

    def __init__(self, limit: Limit, now_unix_s: float, granted: int) -> None:
        self.name = limit.counter
        self.kind = _EACH_ATTEMPT if limit.counts_attempts and limit.metric == "requests" else _KINDS[limit.metric]
        self.set_limit(limit)
        self.window = Window(self, *limit.period.window(now_unix_s), granted)

    def set_limit(self, limit: Limit) -> None:
        self.limit = limit
        self.is_soft = limit.soft


class CounterSet:
    """All counters of one kind of attempt. `windows` are their present windows, valid until the first of them ends at
    `until`, or until the ledger's `edition` changes."""

    __slots__ = ("counters", "edition", "until", "windows")

    def __init__(self, counters: tuple[LimitCounter, ...]) -> None:
        self.counters = counters
        self.windows: tuple[Window, ...] = ()
        self.until = float("-inf")
        self.edition = 0


class Reservation(Struct, frozen=True, eq=False, gc=False):
    """The reservation of an attempt. `at` is the moment by the ledger's clock, which decides the windows."""

    windows: tuple[Window, ...]
    amounts: tuple[int, ...]
    nano: int
    tokens: int
    at: float


class Shortfall(Struct, frozen=True, kw_only=True):
    """A limit without room: `amount` was needed, `available` is granted and free. `reserved` is held by attempts in
    progress, which may leave some unused. `more` is the amount that control would have to grant beyond the amount that
    the window `opened` with and later grants. `ends_at` is in Unix seconds."""

    limit: Limit
    window: int
    ends_at: int
    amount: int
    available: int
    reserved: int
    more: int
    opened: int = 0

    def lease_request(self) -> LeaseRequest:
        """Return the request to send to control."""
        return LeaseRequest(self.limit.counter, self.window, self.more, self.opened)


class Ledger:
    """All counters of one worker. Alone, without control, each window has the whole limit."""

    def __init__(self, share: Share = ALONE) -> None:
        self._share = share
        self._is_alone = share is ALONE
        self._counters: dict[str, LimitCounter] = {}
        self.counters: Mapping[str, LimitCounter] = self._counters
        self._open: dict[str, Reservation] = {}
        self._past: dict[tuple[str, int], Window] = {}  # ended windows in which something is still reserved
        self._counter_sets: dict[tuple[int, ...], tuple[tuple[Limit, ...], CounterSet]] = {}
        self._waived = WaivedWindows()
        self._ahead: dict[tuple[str, int], int] = {}  # granted in windows that are not open yet
        self._limits: Mapping[str, Limit] = {}
        self._now = float("-inf")
        self._of_users = 0  # counters of end users, which come and go
        self._tidy_from = TIDY_FROM
        self._edition = 0  # counts the times that windows were replaced before their end
        self.overruns = 0

    @property
    def open_attempts(self) -> int:
        """Attempts that hold a reservation."""
        return len(self._open)

    @property
    def share(self) -> Share:
        """Return the share with which later windows open, for control after a lost connection."""
        share = self._share
        return Share(share.part, share.whole, max(share.since, self._waived.since))

    def account(self, limits: tuple[Limit, ...]) -> CounterSet:
        """Return the counters of attempts that count in these limits."""
        key = tuple(map(id, limits))
        found = self._counter_sets.get(key)
        if found is None:
            if len(self._counter_sets) >= MAX_COUNTER_SETS:
                self._counter_sets.clear()
            counter_set = CounterSet(tuple(dict.fromkeys(self._counter(limit) for limit in limits)))
            found = self._counter_sets[key] = (limits, counter_set)  # keeps the limits, so that their ids stay theirs
        return found[1]

    def reserve(
        self, counter_set: CounterSet, attempt_id: str, nano: int, tokens: int, ordinal: int, now_unix_s: float
    ) -> Reservation | list[Shortfall]:
        """Reserve for an attempt in every counter, or return the limits that have no room."""
        if now_unix_s > self._now:
            self._now = now_unix_s
        else:
            now_unix_s = self._now
        if attempt_id in self._open:
            return self._open[attempt_id]
        if now_unix_s >= counter_set.until or counter_set.edition != self._edition:
            self._find_windows(counter_set, now_unix_s)
        amounts = (nano, tokens, 1 if ordinal == 1 else 0, 1)
        windows = counter_set.windows
        for window in windows:
            amount = amounts[window.kind]
            free = window.free - amount
            if free < 0 and amount and not window.counter.is_soft:
                _undo(windows, window, amounts)
                return self._shortfalls(windows, amounts)
            window.free = free
            window.reserved += amount
        reservation = self._open[attempt_id] = Reservation(windows, amounts, nano, tokens, now_unix_s)
        return reservation

    def present(self, counter_set: CounterSet, now_unix_s: float) -> tuple[Window, ...]:
        """Return the windows that an attempt would count in now."""
        self._now = max(self._now, now_unix_s)
        if self._now >= counter_set.until or counter_set.edition != self._edition:
            self._find_windows(counter_set, self._now)
        return counter_set.windows

    def settle(self, attempt_id: str, nano: int, tokens: int) -> Reservation | None:
        """Charge the amount that an attempt used. Return `None` if the attempt is not open: nothing is charged
        twice."""
        reservation = self._open.pop(attempt_id, None)
        if reservation is None:
            return None
        if nano > reservation.nano or tokens > reservation.tokens:
            self.overruns += 1
        unused = (reservation.nano - nano, reservation.tokens - tokens, 0, 0)
        self._end_reservation(reservation, reservation.amounts, unused)
        return reservation

    def release(self, attempt_id: str) -> None:
        """Cancel the reservation of an attempt that was never sent."""
        reservation = self._open.pop(attempt_id, None)
        if reservation is not None:
            self._end_reservation(reservation, reservation.amounts, reservation.amounts)

    def granted(self, grants: Iterable[Grant]) -> list[Return]:
        """Take grants that control made with or without a request. Grants for ended windows change nothing. Return the
        amounts to give back: grants are kept for a bounded number of windows that are not open."""
        returned: list[Return] = []
        for grant in grants:
            counter, name = self._counters.get(grant.counter), (grant.counter, grant.window)
            if counter is not None and counter.window.start == grant.window:
                counter.window.grant(grant.granted)
            elif grant.granted and (counter is None or counter.window.start < grant.window):
                if len(self._ahead) >= MAX_AHEAD and name not in self._ahead:
                    returned.append(Return(*name, grant.granted))
                else:
                    self._ahead[name] = self._ahead.get(name, 0) + grant.granted
        return returned

    def recall(self, counters: Iterable[tuple[str, int]]) -> list[Return]:
        """Return the unused amounts of windows to control."""
        returned: list[Return] = []
        for name, start in counters:
            window = self._find(name, start)
            counter = self._counters.get(name)
            if window is not None:
                returned.append(_idle(window))
            elif counter is None or counter.window.start < start:
                self._waived.waive(name, start, self._now)
                returned.append(Return(name, start, self._ahead.pop((name, start), 0)))
        return returned

    def holdings(self) -> list[Holding]:
        """Return every lease, for control after a lost connection."""
        windows = (*(counter.window for counter in self._counters.values()), *self._past.values())
        now = self._now
        held = [window for window in windows if window.end > now or window.reserved]
        return [
            *(Holding(window.counter.name, window.start, window.granted, window.opened) for window in held),
            *(Holding(name, start, 0) for name, start in self._waived),
            *(Holding(name, start, granted) for (name, start), granted in self._ahead.items()),
        ]

    def reshare(self, share: Share) -> None:
        """Set the share with which windows open from now on."""
        self._share = share
        self._is_alone = share is ALONE

    def reconfigure(self, limits: Mapping[str, Limit], now_unix_s: float) -> list[Return]:
        """Take the limits in force; the spending stays. Return the amounts to give back of limits that were lowered.

        Counters of removed limits are kept until their window is over: the limits may come back. Windows that have
        begun but are not open here will open with nothing: control may count them as opened under the previous limit.
        """
        self._now = max(self._now, now_unix_s)
        self._counter_sets.clear()
        if not self._is_alone:
            self._waived.waive_begun(self._now)
            self._waived.forget(self._limits, self._now)
        returned = self._return_ahead(limits)
        self._limits = limits
        for name, counter in list(self._counters.items()):
            limit = limits.get(name)
            if limit is None:
                if counter.window.end <= self._now:
                    self._past_if_reserved(counter.window)
                    del self._counters[name]
                continue
            returned += self._take_limit(counter, limit)
        return returned

    def change(self, limits: Iterable[Limit], now_unix_s: float) -> list[Return]:
        """Take changed limits of some owners, as `reconfigure` takes all. Return the amounts to give back."""
        self._now = max(self._now, now_unix_s)
        returned: list[Return] = []
        for limit in limits:
            name, counter = limit.counter, self._counters.get(limit.counter)
            start, end = limit.period.window(self._now)
            for ahead in (start, end):
                granted = self._ahead.pop((name, ahead), None)
                if granted is not None:
                    self._waived.waive(name, ahead, self._now)
                    returned.append(Return(name, ahead, granted))
            if counter is not None:
                returned += self._take_limit(counter, limit)
            elif not self._is_alone:
                self._waived.waive(name, start, self._now)
        return returned

    def _take_limit(self, counter: LimitCounter, limit: Limit) -> list[Return]:
        """Put another limit in force for a counter. Return the amount to give back, if it is lower."""
        before, window = counter.limit, counter.window
        counter.set_limit(limit)
        if limit.period != before.period and limit.period.window(self._now) != (window.start, window.end):
            self._open_next(counter, self._now)  # other windows, of another zone
            self._edition += 1
        elif self._is_alone:
            window.grant(limit.amount - window.granted)
        elif limit.amount < before.amount:
            return [_idle(window)]
        return []

    def _counter(self, limit: Limit) -> LimitCounter:
        counter = self._counters.get(limit.counter)
        if counter is None:
            if limit.level == "end_user":
                self._of_users += 1
                if self._of_users > self._tidy_from:
                    ended, self._of_users = _drop_ended(self._counters, self._now)
                    self._tidy_from = max(2 * self._of_users, TIDY_FROM)
                    for window in ended:
                        self._past_if_reserved(window)
            now = max(self._now, 0.0)
            counter = self._counters[limit.counter] = LimitCounter(limit, now, 0)
            window = counter.window
            window.opened = self._opening(limit, window.start)
            window.grant(window.opened + self._granted_ahead(window))
        return counter

    def _opening(self, limit: Limit, start: int) -> int:
        """Return the amount that a window is granted as it opens."""
        share = self._share
        if self._is_alone:
            return limit.amount
        if self._waived.take(limit.counter, start) or start < share.since or not share.part:
            return 0
        return limit.amount * share.part // share.whole

    def _granted_ahead(self, window: Window) -> int:
        return self._ahead.pop((window.counter.name, window.start), 0) if self._ahead else 0

    def _return_ahead(self, limits: Mapping[str, Limit]) -> list[Return]:
        """Give back leases for later windows of limits that were removed, lowered or given another period."""
        returned: list[Return] = []
        for (name, start), granted in list(self._ahead.items()):
            before, limit = self._limits.get(name), limits.get(name)
            if before is None or limit is None or limit.amount < before.amount or limit.period != before.period:
                del self._ahead[name, start]
                self._waived.waive(name, start, self._now)
                returned.append(Return(name, start, granted))
        return returned

    def _open_next(self, counter: LimitCounter, now_unix_s: float) -> Window:
        """Open the next window of a counter."""
        self._past_if_reserved(counter.window)
        start, end = counter.limit.period.window(now_unix_s)
        counter.window = window = Window(counter, start, end, self._opening(counter.limit, start))
        window.grant(self._granted_ahead(window))
        return window

    def _find_windows(self, counter_set: CounterSet, now_unix_s: float) -> None:
        """Bring the windows of a set of counters up to date."""
        for counter in counter_set.counters:
            if now_unix_s >= counter.window.end:
                if self._counters.get(counter.name) is counter:
                    self._open_next(counter, now_unix_s)
                else:  # it was dropped, and another one may have taken its place
                    counter_set.counters = tuple([self._counter(one.limit) for one in counter_set.counters])
                    self._find_windows(counter_set, now_unix_s)
                    return
        counter_set.windows = tuple([counter.window for counter in counter_set.counters])
        counter_set.until = min([window.end for window in counter_set.windows], default=float("inf"))
        counter_set.edition = self._edition

    def _past_if_reserved(self, window: Window) -> None:
        if window.reserved:
            self._past[window.counter.name, window.start] = window

    def _end_reservation(self, reservation: Reservation, reserved: tuple[int, ...], unused: tuple[int, ...]) -> None:
        """End a reservation: `unused` is the part of the `reserved` amounts to free."""
        for window in reservation.windows:
            kind = window.kind
            window.reserved -= reserved[kind]
            window.free += unused[kind]
        if self._past:
            for window in reservation.windows:
                if not window.reserved:
                    self._past.pop((window.counter.name, window.start), None)

    def _find(self, name: str, start: int) -> Window | None:
        counter = self._counters.get(name)
        if counter is not None and counter.window.start == start:
            return counter.window
        return self._past.get((name, start))

    def _shortfalls(self, windows: Sequence[Window], amounts: Sequence[int]) -> list[Shortfall]:
        shortfalls: list[Shortfall] = []
        for window in windows:
            counter, amount = window.counter, amounts[window.kind]
            if amount > window.free and amount and not counter.is_soft:
                shortfall = Shortfall(
                    limit=counter.limit,
                    window=window.start,
                    ends_at=window.end,
                    amount=amount,
                    available=window.free,
                    reserved=window.reserved,
                    more=amount - window.free,
                    opened=window.opened,
                )
                shortfalls.append(shortfall)
        return shortfalls


def _drop_ended(counters: dict[str, LimitCounter], now_unix_s: float) -> tuple[list[Window], int]:
    """Drop the counters of end users whose windows have ended. Return these windows, and the number of those that stay.
    Sets that still have a dropped counter find another for it."""
    of_users = [counter for counter in counters.values() if counter.limit.level == "end_user"]
    ended = [counter for counter in of_users if counter.window.end <= now_unix_s]
    for counter in ended:
        del counters[counter.name]
    return [counter.window for counter in ended], len(of_users) - len(ended)


def _undo(windows: Sequence[Window], full: Window, amounts: Sequence[int]) -> None:
    """Undo the reservations in the windows before the one that is `full`."""
    for window in windows:
        if window is full:
            return
        amount = amounts[window.kind]
        window.free += amount
        window.reserved -= amount


def _idle(window: Window) -> Return:
    """Take the free amount from a window."""
    idle = max(window.free, 0)
    window.grant(-idle)
    return Return(window.counter.name, window.start, idle, window.opened)
