"""The mutable state of the data plane: one object, synchronous methods only.

Under asyncio a method without `await` is a transaction, so there are no locks. Values are frozen and replaced by the
pure reducers of `routing`.
"""

from pointsman.domain.failures import Failure
from pointsman.domain.limits import Limit
from pointsman.domain.snapshots import Snapshot
from pointsman.domain.targets import Candidate, ProviderKey
from pointsman.routing import health
from pointsman.routing.health import Condition, KeyBlock
from pointsman.routing.retry_budget import RetryBudget
from pointsman.routing.view import Exhausted

MAX_CONDITIONS = 10_000
EXHAUSTED_S = 0.5  # how long it is taken for granted that an exhausted limit is still exhausted


class Live:
    """The present snapshot, and what was learned about providers and keys. Implements `routing.view.View`.

    `is_cut_off` says that control cannot be reached, `is_stale` that it has been so for longer than the snapshot may be
    trusted.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.is_cut_off = False
        self.is_stale = False
        self.conditions: dict[str, Condition] = {}
        self.key_blocks: dict[tuple[str, str], KeyBlock] = {}
        self.exhausted: dict[str, Exhausted] = {}
        self.in_progress: dict[str, int] = {}
        self._budget = RetryBudget()
        self._budgets: dict[str, RetryBudget] = {}

    def swap(self, snapshot: Snapshot) -> None:
        """Put a new configuration in force. What was learned stays for what is still there."""
        self.snapshot = snapshot
        keys = {(endpoint.name, key.name) for endpoint in snapshot.endpoints.values() for key in endpoint.keys}
        self.key_blocks = {name: block for name, block in self.key_blocks.items() if name in keys}
        names = snapshot.endpoints.keys()
        self.conditions = {
            name: condition for name, condition in self.conditions.items() if name.partition("/")[0] in names
        }
        self._budgets = {name: budget for name, budget in self._budgets.items() if name in names}
        self.exhausted = {}  # a limit may have been raised

    def refused(self, limit: Limit, ends_at: float, now: float) -> None:
        """Nothing is left of a limit whose window ends at `ends_at`. It is not asked for again for a moment."""
        self.exhausted[limit.counter] = Exhausted(limit, min(now + EXHAUSTED_S, ends_at), ends_at)

    def forget_exhausted(self, now: float) -> None:
        """Limits that may have something left by now."""
        self.exhausted = {name: found for name, found in self.exhausted.items() if found.until > now}

    def may_retry(self, provider: str, now: float) -> bool:
        budget = self._budgets.get(provider)
        return self._budget.has_token(now) and (budget is None or budget.has_token(now))

    def begin(self, candidate: Candidate, now: float, *, is_retry: bool) -> None:
        """An attempt starts."""
        name = candidate.id
        self.in_progress[name] = self.in_progress.get(name, 0) + 1
        provider = candidate.endpoint.name
        budget = self._budgets.get(provider)
        if budget is None:
            budget = self._budgets[provider] = RetryBudget(updated_at=now)
        if is_retry:
            budget.spend()
            self._budget.spend()
        else:
            budget.earn()
            self._budget.earn()
        if self.conditions and (condition := self.conditions.get(name)) is not None:
            self.conditions[name] = health.begin(condition, now)

    def finish(self, candidate: Candidate, key: ProviderKey, failure: Failure | None, now: float) -> None:
        """An attempt ended, well or with `failure`."""
        name = candidate.id
        count = self.in_progress[name] - 1
        if count:
            self.in_progress[name] = count
        else:
            del self.in_progress[name]
        if failure is None and not self.conditions and not self.key_blocks:
            return
        condition = health.observe(self.conditions.get(name), failure, now)
        if condition is None:
            self.conditions.pop(name, None)
        else:
            self.conditions[name] = condition
            if len(self.conditions) > MAX_CONDITIONS:
                del self.conditions[next(iter(self.conditions))]  # the oldest: names may come from clients
        key_name = (candidate.endpoint.name, key.name)
        block = health.block_key(self.key_blocks.get(key_name), failure, now)
        if block is None:
            self.key_blocks.pop(key_name, None)
        else:
            self.key_blocks[key_name] = block
