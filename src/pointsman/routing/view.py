"""The live state for the decision core: a read-only view, valid for one synchronous decision."""

from collections.abc import Collection, Mapping
from typing import Protocol

from msgspec import Struct

from pointsman.domain.holds import Held
from pointsman.domain.limits import Limit
from pointsman.domain.network import Network
from pointsman.domain.origin import Origin
from pointsman.domain.snapshots import Snapshot
from pointsman.domain.targets import Arm, Candidate
from pointsman.money.charges import Answers
from pointsman.money.end_users import EndUsers
from pointsman.money.pacing import Pacer
from pointsman.routing.canaries import Aborted
from pointsman.routing.health import Condition, KeyBlock, KeyName
from pointsman.routing.hedges import Hedges
from pointsman.routing.paces import Paces
from pointsman.routing.quotas import Quotas
from pointsman.routing.readings import Reading


class Exhausted(Struct, frozen=True):
    """A limit that had nothing left at the last attempt. `until` is the time for the next attempt, `ends_at` the end of
    its window, both in monotonic seconds. `resets_at` is that end in Unix seconds."""

    limit: Limit
    until: float
    ends_at: float
    resets_at: int


Saturated = Collection[tuple[Network, Origin]]
"""The paths to providers on which a request would wait for a connection."""


class PresentFaults(Protocol):
    """All present faults. `version` is another object after each change to them, so that an opinion can be cached.

    `conditions` has the names of `health.subject` as keys and holds only unhealthy conditions. `key_blocks` holds only
    keys that were rejected. `exhausted` has the names of counters as keys and holds only limits with nothing left.
    `saturated` are the paths to a provider on which a request would wait for a connection. `aborted` holds only
    canaries that did worse than their control. `holds` are the orders of operators, by the names in them.
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
    def saturated(self) -> Saturated: ...
    @property
    def aborted(self) -> Mapping[Arm, Aborted]: ...
    @property
    def holds(self) -> Mapping[str, Held]: ...


class View(PresentFaults, Protocol):
    """The live state as a whole, and the snapshot in force. `readings` has the names of `health.subject` as keys.
    `in_progress` counts the running attempts, and `answers` has the usual answers, by the ids of candidates.
    `hedges` is the state of hedging, and `paces` that of adaptive strategies. `quotas` mirrors the limits of provider
    keys that are near their end. These six change with every request, so only strategies and policies that check each
    request can read them."""

    @property
    def snapshot(self) -> Snapshot: ...
    @property
    def readings(self) -> Mapping[str, Reading]: ...
    @property
    def in_progress(self) -> Mapping[str, int]: ...
    @property
    def hedges(self) -> Hedges: ...
    @property
    def paces(self) -> Paces: ...
    @property
    def quotas(self) -> Quotas: ...
    @property
    def answers(self) -> Mapping[str, Answers]: ...
    def most_in_progress(self, item: Candidate) -> int | None:
        """Return the most attempts that may be in progress at a candidate in this worker; `None` if nothing bounds
        them."""
        ...

    def may_retry(self, provider: str, now: float) -> bool:
        """Return whether the retry budgets, that of the provider and the global one, have a token left."""
        ...

    def used(self, limit: Limit, unix_s: float) -> int | None:
        """Return the amount of a limit that all workers have spent or reserved in its window at `unix_s`, in units of
        its metric. Return `None` if it is unknown. The amounts of other workers are at most a second old."""
        ...

    @property
    def end_users(self) -> EndUsers:
        """The end users that have limits of their own."""
        ...

    def pacer(self, limit: Limit) -> Pacer:
        """Return the pacer of a paced budget. It learns from each request."""
        ...


class RandomSource(Protocol):
    """A source of random numbers; `random.Random` is one."""

    def random(self) -> float:
        """Return a number in [0, 1)."""
        ...
