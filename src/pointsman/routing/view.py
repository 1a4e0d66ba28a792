"""What the decision core may read of the live state: a read-only window, valid for one synchronous decision."""

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
    """A limit that had nothing left when it was last asked for. `until` is when it is worth asking again, `ends_at`
    when its window ends, both in monotonic seconds."""

    limit: Limit
    until: float
    ends_at: float


class Troubles(Protocol):
    """Everything that is wrong. `version` is another object after each change to it, so that an opinion can be kept.

    `conditions` is kept under the names of `health.subject` and holds only what is not healthy; `key_blocks` holds
    only keys that were refused; `exhausted` under names of counters holds only limits of which nothing is left.
    `crowded` are the ways to a provider on which a request would have to wait for a connection.
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
    """The live state as a whole, and the snapshot that is decided under. `readings` are kept under the names of
    `health.subject`, and `in_progress` counts the attempts that run under the ids of candidates. These two change with
    every request, so only strategies and policies that look at each request can read them."""

    @property
    def snapshot(self) -> Snapshot: ...
    @property
    def readings(self) -> Mapping[str, Reading]: ...
    @property
    def in_progress(self) -> Mapping[str, int]: ...
    def may_retry(self, provider: str, now: float) -> bool:
        """Whether the retry budgets, that of the provider and the global one, have a token left."""
        ...


class Dice(Protocol):
    """A source of random numbers; `random.Random` is one."""

    def random(self) -> float:
        """A number in [0, 1)."""
        ...
