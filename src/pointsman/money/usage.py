"""A worker's knowledge of the used amounts of limits, for decisions that read them.

The used amount is everything that was spent or is reserved in the limit's present window, by all workers. A worker
knows its own part at once, from its ledger. Control sends the rest, for the counters that some decision has read. A
lease that a worker has not used does not count, since it returns that when control asks.

A worker that has no connection to control is alone: its ledger knows all. `UsageTable` is control's side.
"""

from collections.abc import Callable, Iterable, Mapping

from msgspec import Struct

from pointsman.domain.leases import UsedElsewhere, UsedHere
from pointsman.domain.limits import Limit
from pointsman.money.ledger import Ledger, LimitCounter

TICK_S = 0.25  # between two messages
SILENT_TICKS = 8  # of silence from control, after which amounts count as unknown
KEPT_TICKS = 2400  # without a reader, after which a counter is forgotten
MAX_WATCHED = 10_000  # counters: each is compared in every tick
MAX_LIMITS = 20_000
NEVER = -2  # a number that no connection has, nor its predecessor


class _Watched:
    """A counter that decisions read. Control sent the amount used `elsewhere` over the connection of this number. The
    last reader came in tick `read_in`."""

    __slots__ = ("at_least", "connection", "counter", "elsewhere", "read_in", "window")

    def __init__(self, counter: str) -> None:
        self.counter = counter
        self.connection = NEVER
        self.window = self.elsewhere = self.at_least = self.read_in = 0


class _Present:
    """A limit in its present window."""

    __slots__ = ("end", "start", "watched")

    def __init__(self, watched: _Watched, start: int, end: int) -> None:
        self.watched = watched
        self.start = start
        self.end = end


class UsageChanges(Struct, frozen=True):
    """The news for control: counters that decisions read from now on, with their present windows, counters that they no
    longer read, and used amounts."""

    watch: list[tuple[str, int]]
    drop: list[str]
    used: list[UsedHere]


class UsedAmounts:
    """The used amounts of limits. `ledger` is the worker's own; by default a new one."""

    def __init__(self, ledger: Ledger | None = None) -> None:
        self.missed: set[str] = set()  # counters that were read before control had answered
        self.on_answer: dict[object, Callable[[], None]] = {}  # called when control has answered
        self.ledger = ledger or Ledger()
        self._counters = self.ledger.counters
        self._on_news: Callable[[], None] | None = None
        self._limits: dict[Limit, _Present] = {}
        self._watched: dict[str, _Watched] = {}
        self._watch: dict[str, int] = {}  # not sent yet
        self._drop: list[str] = []  # the same
        self._reported: dict[str, UsedHere | None] = {}  # what control has, of the counters that it wants
        self._connection = 0
        self._ticks = 0
        self._silent = 0  # ticks since control was heard
        self._old = 0  # ticks since it was heard over the previous connection

    @property
    def is_idle(self) -> bool:
        """Return whether no decision reads a used amount, at any worker."""
        return not (self._watched or self._reported or self._drop)

    def used(self, limit: Limit, unix_s: float) -> int | None:
        """Return the amount used in the limit's window at `unix_s`, in units of its metric; `None` if unknown. It is
        unknown when it is read for the first time, and while control is silent."""
        present = self._limits.get(limit)
        if present is None:
            present = self._find(limit, unix_s)
        elif unix_s >= present.end:
            present.start, present.end = limit.period.window(unix_s)
        watched, start = present.watched, present.start
        if self._on_news is None:
            return _used(self._counters, watched.counter, start)
        watched.read_in = self._ticks
        if self._silent >= SILENT_TICKS:
            return None
        if watched.connection != self._connection and (
            watched.connection != self._connection - 1 or self._old >= SILENT_TICKS
        ):
            self.missed.add(watched.counter)
            return None
        if watched.window < start:  # nobody else has used this window: control would have sent it
            return _used(self._counters, watched.counter, start)
        here = _used(self._counters, watched.counter, watched.window)
        return max(watched.elsewhere + max(here, watched.at_least), 0)

    def share(self, on_news: Callable[[], None]) -> None:
        """Count what other workers use, too. `on_news` is called when there are changes to send to control before the
        next tick."""
        self._on_news = on_news

    def connected(self) -> None:
        """Begin a new connection to control. Amounts from the previous one count until they are too old."""
        self._connection += 1
        self._old, self._silent = self._silent, 0
        self._reported.clear()
        self._drop.clear()
        self._watch = {}
        for present in self._limits.values():
            self._watch[present.watched.counter] = present.start
        for counter, watched in self._watched.items():
            self._watch.setdefault(counter, watched.window)

    def heard(self) -> None:
        """Note that control is alive."""
        self._silent = 0

    def tick(self) -> None:
        """Let `TICK_S` pass. Ticks are counted because a process that was stopped itself has not waited for control."""
        self._ticks += 1
        self._silent += 1
        self._old += 1
        if not self._ticks % (KEPT_TICKS // 10):
            before = self._ticks - KEPT_TICKS
            self._forget({counter for counter, watched in self._watched.items() if watched.read_in < before})

    def wanted(self, counters: Iterable[str], unwanted: Iterable[str]) -> None:
        """Report these counters to control from now on, and others no longer."""
        for counter in unwanted:
            self._reported.pop(counter, None)
        for counter in counters:
            self._reported[counter] = None

    def take(self, amounts: Iterable[UsedElsewhere]) -> None:
        """Take the amounts that control sends."""
        for one in amounts:
            watched = self._watched.get(one.counter)
            if watched is not None:
                watched.connection = self._connection
                watched.window, watched.elsewhere, watched.at_least = one.window, one.amount, one.at_least
                self.missed.discard(one.counter)
        for call in list(self.on_answer.values()):
            call()

    def changes(self) -> UsageChanges | None:
        """Return the changes since the last call, if there are any."""
        used = _changed(self._counters, self._reported) if self._reported else []
        if not (used or self._watch or self._drop):
            return None
        changes = UsageChanges(list(self._watch.items()), self._drop, used)
        self._watch, self._drop = {}, []
        return changes

    def forget_limits(self) -> None:
        """Forget the limits of an old configuration. Their counters are kept."""
        self._limits.clear()

    def _find(self, limit: Limit, unix_s: float) -> _Present:
        if len(self._limits) >= MAX_LIMITS:
            self._limits.clear()
        counter = limit.counter
        start, end = limit.period.window(unix_s)
        watched = self._watched.get(counter)
        if watched is None:
            watched = _Watched(counter)
            if self._on_news is not None:
                self._begin(watched, start)
        elif limit.period.window(watched.window)[0] != watched.window and watched.window:
            self._begin(watched, start)  # a window of another zone, before a change of the configuration
        present = self._limits[limit] = _Present(watched, start, end)
        return present

    def _begin(self, watched: _Watched, start: int) -> None:
        """Ask control for a counter."""
        if len(self._watched) >= MAX_WATCHED:
            oldest = sorted(self._watched.values(), key=lambda one: one.read_in)[: MAX_WATCHED // 10]
            self._forget({one.counter for one in oldest})
        watched.read_in, watched.window, watched.connection = self._ticks, 0, NEVER
        self._watched[watched.counter] = watched
        self._watch[watched.counter] = start
        if self._on_news is not None:
            self._on_news()

    def _forget(self, unread: set[str]) -> None:
        """Forget counters, until a decision reads them again."""
        if unread:
            self._limits = {limit: one for limit, one in self._limits.items() if one.watched.counter not in unread}
        for counter in unread:
            del self._watched[counter]
            self.missed.discard(counter)
            if self._watch.pop(counter, None) is None:
                self._drop.append(counter)


def _used(counters: Mapping[str, LimitCounter], name: str, start: int) -> int:
    """Return the amount spent and reserved here in the window of a counter that began at `start`, or in its present
    window if that began later. Only the present window is known: it is 0 for others."""
    found = counters.get(name)
    if found is None or found.window.start < start:
        return 0
    return found.window.granted - found.window.free


def _changed(counters: Mapping[str, LimitCounter], known: dict[str, UsedHere | None]) -> list[UsedHere]:
    """Return the amount spent and reserved here in the present window of each known counter, if it has changed. Record
    it as known."""
    changed: list[UsedHere] = []
    for name, before in known.items():
        counter = counters.get(name)
        if counter is not None:
            window = counter.window
            start, used = window.start, window.granted - window.free
        else:
            start = used = 0
        if before is None or before.amount != used or before.window != start:
            known[name] = now = UsedHere(name, start, used)
            changed.append(now)
    return changed
