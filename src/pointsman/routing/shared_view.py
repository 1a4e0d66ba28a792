"""The part of a worker's knowledge that it shares with the other workers of its machine.

Each worker decides alone. The others only add evidence: about paces as sums, about breakers as advice, and about
rejected keys as facts. A worker without others, or without control, works on with its own evidence.
"""

from collections.abc import Callable, Iterable, Mapping
from math import inf
from typing import Protocol

from msgspec import Struct

from pointsman.domain.holds import Held, Hold, owner_in
from pointsman.domain.snapshots import Snapshot
from pointsman.routing.fault_news import FaultNews
from pointsman.routing.faults import Faults
from pointsman.routing.pace_news import STALE_S, PaceDelta
from pointsman.routing.paces import Paces


class HealthNews(Struct, array_like=True):
    """The news of one worker at the time `at`, in monotonic seconds, which all processes of a machine share. If it
    `is_whole`, it is all that the worker knows."""

    at: float
    paces: PaceDelta | None = None
    faults: FaultNews | None = None
    is_whole: bool = False


class _Knowing(Protocol):
    """Live state, which owns the two parts."""

    @property
    def snapshot(self) -> Snapshot: ...
    @property
    def paces(self) -> Paces: ...
    @property
    def faults(self) -> Faults: ...
    def pause(self, owners: Mapping[str, Held]) -> None: ...


class SharedView:
    """The exchange of one worker. `on_urgent` is called when there is news that should not wait for the next exchange:
    the change of a breaker or of a key."""

    def __init__(self, live: _Knowing) -> None:
        self._live = live
        self.on_urgent: Callable[[], None] | None = None

    def share(self, rank: int | None) -> None:
        """Collect news from now on, as the worker with this rank among the others; `None` ends that."""
        self._live.paces.share(rank)
        faults = self._live.faults
        if rank is None:
            faults.take_news()
        faults.on_news = self._on_news if rank is not None else None

    def _on_news(self) -> None:
        if self.on_urgent is not None:
            self.on_urgent()

    def take(self, now: float) -> HealthNews | None:
        """Return the news since the last time, or `None` if there is none."""
        paces, faults = self._live.paces.take_delta(now), self._live.faults.take_news()
        return HealthNews(now, paces, faults) if paces is not None or faults is not None else None

    def whole(self, now: float) -> HealthNews:
        """Return all that is known, for a worker that has just started."""
        return HealthNews(now, self._live.paces.whole(now), self._live.faults.whole(now), is_whole=True)

    def learn(self, news: HealthNews, now: float) -> None:
        """Take the news of another worker, unless it is older than `STALE_S`."""
        if now - news.at > STALE_S:
            return
        if news.faults is not None:
            self._live.faults.learn(news.faults, now, self._live.snapshot.routing.health)
        if news.paces is not None and news.is_whole:
            self._live.paces.adopt(news.paces, now)
        elif news.paces is not None:
            self._live.paces.merge(news.paces, now)

    def hold(self, holds: Iterable[Hold], now: float, unix_s: float) -> None:
        """Put these orders of operators in force, instead of all earlier ones."""
        held = [Held(one, inf if one.until is None else now + one.until - unix_s) for one in holds]
        held = [one for one in held if one.until > now]
        owners = {owner: one for one in held if (owner := owner_in(one.hold.name)) is not None}
        self._live.pause(owners)
        self._live.faults.hold([one for one in held if owner_in(one.hold.name) is None], now)
