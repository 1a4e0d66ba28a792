"""What the decision core may read of the live state: a read-only window, valid for one synchronous decision."""

from collections.abc import Mapping
from typing import Protocol

from pointsman.domain.snapshots import Snapshot
from pointsman.routing.health import Condition, KeyBlock


class View(Protocol):
    """`conditions` is kept under candidate ids and holds only what is not healthy; `key_blocks` under
    `(provider, key)` holds only keys that were refused."""

    @property
    def snapshot(self) -> Snapshot: ...
    @property
    def conditions(self) -> Mapping[str, Condition]: ...
    @property
    def key_blocks(self) -> Mapping[tuple[str, str], KeyBlock]: ...
    def may_retry(self, provider: str, now: float) -> bool:
        """Whether the retry budgets, that of the provider and the global one, have a token left."""
        ...


class CalmView:
    """What a view shows while nothing is wrong with any provider or key."""

    conditions: Mapping[str, Condition] = {}
    key_blocks: Mapping[tuple[str, str], KeyBlock] = {}

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot

    def may_retry(self, provider: str, now: float) -> bool:  # noqa: ARG002
        return True


class Dice(Protocol):
    """A source of random numbers; `random.Random` is one."""

    def random(self) -> float:
        """A number in [0, 1)."""
        ...
