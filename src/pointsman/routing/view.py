"""The live state for the decision core: a read-only view, valid for one synchronous decision."""

from collections.abc import Collection, Mapping
from typing import Protocol

from msgspec import Struct

from pointsman.domain.limits import Limit
from pointsman.domain.network import Network
from pointsman.domain.origin import Origin
from pointsman.domain.snapshots import Snapshot
from pointsman.routing.health import Condition, KeyBlock, KeyName
from pointsman.routing.readings import Reading


class Exhausted(Struct, frozen=True):
    """A limit that had nothing left at the last attempt. `until` is the time for the next attempt, `ends_at` the end of
    its window, both in monotonic seconds."""

    limit: Limit
    until: float
    ends_at: float


class Troubles(Protocol):
    """All present faults. `version` is another object after each change to them, so that an opinion can be cached.

    `conditions` has the names of `health.subject` as keys and holds only unhealthy conditions. `key_blocks` holds only
    keys that were rejected. `exhausted` has the names of counters as keys and holds only limits with nothing left.
    `crowded` are the paths to a provider on which a request would wait for a connection.
    """

    @property
    def version(self) -> object: ...
    @property
    def conditions(self) -> Mapping[str, Condition]: ...
    @property
    def key_blocks(self) -> Mapping[KeyName, KeyBlock]: ...
    @property
    def exhausted(self) -> Mapping[str, Exhausted]: ...
    @property
    def crowded(self) -> Collection[tuple[Network, Origin]]: ...


class View(Troubles, Protocol):
    """The live state as a whole, and the snapshot in force. `readings` has the names of `health.subject` as keys.
    `in_progress` counts the running attempts by the ids of candidates. These two change with every request, so only
    strategies and policies that check each request can read them."""

    @property
    def snapshot(self) -> Snapshot: ...
    @property
    def readings(self) -> Mapping[str, Reading]: ...
    @property
    def in_progress(self) -> Mapping[str, int]: ...
    def may_retry(self, provider: str, now: float) -> bool:
        """Return whether the retry budgets, that of the provider and the global one, have a token left."""
        ...


class Dice(Protocol):
    """A source of random numbers; `random.Random` is one."""

    def random(self) -> float:
        """Return a number in [0, 1)."""
        ...
