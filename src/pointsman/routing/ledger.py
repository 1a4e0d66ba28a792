"""What a worker has reserved and spent of each limit, held against what control has granted it.

Two-phase: `reserve` takes an upper bound from every counter that applies, all or none; `settle` puts in its place what
was used, `release` takes it back. Both are idempotent by attempt id. In each window `settled + reserved <= granted`,
but for soft limits and for attempts that used more than their bound.

A settlement goes to the window of its reservation. Windows never reopen: a clock that runs backwards is held at the
latest moment it has shown.
"""

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from pointsman.domain.leases import ALONE, EVERYTHING, Grant, Holding, Return, Share
from pointsman.domain.limits import Limit, Metric

_KINDS = {Metric.USD: 0, Metric.TOKENS: 1, Metric.REQUESTS: 2}
_EACH_ATTEMPT = 3
MAX_COUNTERS = 50_000


class Window:
    """One window of a counter."""

    __slots__ = ("counter", "end", "granted", "reserved", "settled", "start")

    def __init__(self, counter: "Counter", start: int, end: int, granted: int) -> None:
        self.counter = counter
        self.start = start
        self.end = end
        self.granted = granted
        self.reserved = 0
        self.settled = 0


class Counter:
    """A limit with its present window."""

    __slots__ = ("is_soft", "kind", "limit", "name", "window")

    def __init__(self, limit: Limit, now_unix_s: float, granted: int) -> None:
        self.name = limit.counter
        self.set_limit(limit)
        self.window = Window(self, *limit.period.window(now_unix_s), granted)

    def set_limit(self, limit: Limit) -> None:
        self.limit = limit
        self.is_soft = limit.soft
        self.kind = _EACH_ATTEMPT if limit.counts_attempts and limit.metric is Metric.REQUESTS else _KINDS[limit.metric]


class Account:
    """Everything that one kind of attempt counts in."""

    __slots__ = ("counters",)

    def __init__(self, counters: tuple[Counter, ...]) -> None:
        self.counters = counters


class Reservation:
    """What an attempt holds. `at` is the moment by the ledger's clock, which decides the windows."""

    __slots__ = ("amounts", "at", "nano", "tokens", "windows")

    def __init__(self, windows: list[Window], amounts: tuple[int, ...], nano: int, tokens: int, at: float) -> None:
        self.windows = windows
        self.amounts = amounts
        self.nano = nano
        self.tokens = tokens
        self.at = at


class Short(Struct, frozen=True):
    """A limit without room: `amount` was needed, `available` is what is granted and free, `reserved` what attempts
    in progress hold and may leave unused. `more` is what control would have to grant. `ends_at` is in Unix seconds."""

    limit: Limit
    window: int
    ends_at: int
    amount: int
    available: int
    reserved: int
    more: int


class Ledger:
    """All counters of one worker. Alone, without control, each window has the whole limit."""

    def __init__(self, share: Share = ALONE) -> None:
        self._share = share
        self._is_alone = share is ALONE
        self._counters: dict[str, Counter] = {}
        self._open: dict[str, Reservation] = {}
        self._past: dict[tuple[str, int], Window] = {}  # ended windows in which something is still reserved
        self._accounts: dict[tuple[int, ...], tuple[tuple[Limit, ...], Account]] = {}
        self._given_up: dict[tuple[str, int], None] = {}  # windows that open with nothing, in the order of the recalls
        self._now = float("-inf")
        self.overruns = 0

    @property
    def open_attempts(self) -> int:
        """Attempts that hold a reservation."""
        return len(self._open)

    def account(self, limits: tuple[Limit, ...]) -> Account:
        """The handle for attempts that count in these limits."""
        key = tuple(map(id, limits))
        found = self._accounts.get(key)
        if found is None:
            if len(self._accounts) >= MAX_COUNTERS:
                self._accounts.clear()
            account = Account(tuple(self._counter(limit) for limit in limits))
            found = self._accounts[key] = (limits, account)  # the limits are kept, so that their ids stay theirs
        return found[1]

    def reserve(
        self, account: Account, attempt: str, nano: int, tokens: int, ordinal: int, now_unix_s: float
    ) -> Reservation | list[Short]:
        """Take room for an attempt in every counter, or say which have none."""
        if now_unix_s > self._now:
            self._now = now_unix_s
        else:
            now_unix_s = self._now
        amounts = (nano, tokens, 1 if ordinal == 1 else 0, 1)
        windows: list[Window] = []
        for counter in account.counters:
            window = counter.window
            if now_unix_s >= window.end:
                window = self._turn(counter, now_unix_s)
            if (
                window.settled + window.reserved + amounts[counter.kind] > window.granted
                and not counter.is_soft
                and amounts[counter.kind]
            ):
                return self._shorts(account, amounts, now_unix_s)
            windows.append(window)
        for window in windows:
            window.reserved += amounts[window.counter.kind]
        reservation = self._open[attempt] = Reservation(windows, amounts, nano, tokens, now_unix_s)
        return reservation

    def settle(self, attempt: str, nano: int, tokens: int) -> Reservation | None:
        """Charge what an attempt used. `None` for one that is not open: nothing is charged twice."""
        reservation = self._open.pop(attempt, None)
        if reservation is None:
            return None
        if nano > reservation.nano or tokens > reservation.tokens:
            self.overruns += 1
        held = reservation.amounts
        used = (nano, tokens, held[2], held[3])
        now = self._now
        for window in reservation.windows:
            kind = window.counter.kind
            window.reserved -= held[kind]
            window.settled += used[kind]
            if now >= window.end:
                self._forget(window)
        return reservation

    def release(self, attempt: str) -> None:
        """An attempt was never sent: as if it had not been."""
        reservation = self._open.pop(attempt, None)
        if reservation is None:
            return
        for window in reservation.windows:
            window.reserved -= reservation.amounts[window.counter.kind]
            if self._now >= window.end:
                self._forget(window)

    def granted(self, grants: Iterable[Grant]) -> None:
        """Control's answers. Those for windows that are over change nothing any more."""
        for grant in grants:
            counter = self._counters.get(grant.counter)
            if counter is not None and counter.window.start == grant.window:
                counter.window.granted += grant.given

    def recall(self, counters: Iterable[tuple[str, int]]) -> list[Return]:
        """Give back what is idle."""
        returned: list[Return] = []
        for name, start in counters:
            counter = self._counters.get(name)
            if counter is not None and counter.window.end <= start:
                self._turn(counter, start)
            window = self._find(name, start)
            if window is None:
                # Not opened here yet: it will not open with its share.
                if len(self._given_up) >= MAX_COUNTERS:
                    self._given_up.pop(next(iter(self._given_up)))
                self._given_up[name, start] = None
                returned.append(Return(name, start, EVERYTHING))
            else:
                idle = window.granted - window.settled - window.reserved
                if idle > 0:
                    window.granted -= idle
                    returned.append(Return(name, start, idle))
        return returned

    def holdings(self) -> list[Holding]:
        """Every lease, for control to know after a break of the line."""
        windows = (*(counter.window for counter in self._counters.values()), *self._past.values())
        now = self._now
        held = [window for window in windows if window.end > now or window.reserved]
        return [
            *(Holding(window.counter.name, window.start, window.granted) for window in held),
            *(Holding(name, start, 0) for name, start in self._given_up),
        ]

    def reshare(self, share: Share) -> None:
        """What windows open with from now on."""
        self._share = share
        self._is_alone = share is ALONE

    def reconfigure(self, limits: Mapping[str, Limit]) -> None:
        """Amounts have changed; what was spent stays. Counters that are gone are forgotten when they are used up."""
        self._accounts.clear()
        for name, counter in self._counters.items():
            limit = limits.get(name)
            if limit is not None:
                counter.set_limit(limit)
                if self._is_alone:
                    counter.window.granted = limit.amount

    def _counter(self, limit: Limit) -> Counter:
        counter = self._counters.get(limit.counter)
        if counter is None:
            if len(self._counters) >= MAX_COUNTERS:
                self._drop_ended()
            start = limit.period.window(max(self._now, 0.0))[0] if self._now > 0 else 0
            counter = self._counters[limit.counter] = Counter(limit, max(self._now, 0.0), self._opening(limit, start))
        elif counter.limit is not limit:
            counter.set_limit(limit)
        return counter

    def _opening(self, limit: Limit, start: int) -> int:
        """What a window is granted as it opens."""
        share = self._share
        if start < share.since or not share.part or (limit.counter, start) in self._given_up:
            return 0
        return limit.amount * share.part // share.whole

    def _turn(self, counter: Counter, now_unix_s: float) -> Window:
        """The next window of a counter."""
        ended = counter.window
        if ended.reserved:
            self._past[counter.name, ended.start] = ended
        start, end = counter.limit.period.window(now_unix_s)
        counter.window = Window(counter, start, end, self._opening(counter.limit, start))
        return counter.window

    def _forget(self, window: Window) -> None:
        if not window.reserved:
            self._past.pop((window.counter.name, window.start), None)

    def _find(self, name: str, start: int) -> Window | None:
        counter = self._counters.get(name)
        if counter is not None and counter.window.start == start:
            return counter.window
        return self._past.get((name, start))

    def _drop_ended(self) -> None:
        """Make room: counters whose window is over come back when they are used."""
        self._counters = {name: counter for name, counter in self._counters.items() if counter.window.end > self._now}
        self._accounts.clear()

    def _shorts(self, account: Account, amounts: Sequence[int], now_unix_s: float) -> list[Short]:
        shorts: list[Short] = []
        for counter in account.counters:
            window, amount = counter.window, amounts[counter.kind]
            if now_unix_s >= window.end:
                window = self._turn(counter, now_unix_s)
            available = window.granted - window.settled - window.reserved
            if amount > available and amount and not counter.is_soft:
                more = amount - available
                found = Short(counter.limit, window.start, window.end, amount, available, window.reserved, more)
                shorts.append(found)
        return shorts
