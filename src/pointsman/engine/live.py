"""The mutable state of the data plane: one object, synchronous methods only.

Under asyncio a method without `await` is a transaction, so there are no locks. Values are frozen and replaced by the
pure reducers of `routing`.
"""

from collections.abc import Collection
from copy import copy

from pointsman.domain.failures import Failure
from pointsman.domain.limits import Limit
from pointsman.domain.network import Network
from pointsman.domain.operations import Operation
from pointsman.domain.origin import Origin
from pointsman.domain.snapshots import Snapshot
from pointsman.domain.targets import Candidate, ProviderKey
from pointsman.routing import health
from pointsman.routing.health import Condition, KeyBlock, KeyName
from pointsman.routing.readings import Reading, observe
from pointsman.routing.retry_budget import RetryBudget
from pointsman.routing.view import Exhausted

MAX_CONDITIONS = 10_000
TIDY_S = 60.0
EXHAUSTED_S = 0.5  # how long an exhausted limit is assumed to stay exhausted


class Live:
    """The present snapshot, and the state learned about providers and keys. Implements `routing.view.View`.

    `is_cut_off` is true while control cannot be reached, `is_stale` once that has lasted longer than the snapshot may
    be trusted.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.version = object()
        self.is_cut_off = False
        self.is_stale = False
        self.conditions: dict[str, Condition] = {}
        self.key_blocks: dict[KeyName, KeyBlock] = {}
        self.exhausted: dict[str, Exhausted] = {}
        self.crowded: Collection[tuple[Network, Origin]] = frozenset()
        self.in_progress: dict[str, int] = {}
        self.readings: dict[str, Reading] = {}
        self._served: dict[tuple[str, str], float] = {}  # when a key last served, while one is blocked
        self._tidied_at = 0.0
        self._budget = RetryBudget()
        self._budgets: dict[str, RetryBudget] = {}

    def swap(self, snapshot: Snapshot) -> None:
        """Put a new configuration in force. Learned state stays for targets and keys that remain."""
        self.snapshot = snapshot
        keys = {(endpoint.name, key.name) for endpoint in snapshot.endpoints.values() for key in endpoint.keys}
        self.key_blocks = {name: block for name, block in self.key_blocks.items() if name[:2] in keys}
        names = snapshot.endpoints.keys()
        self.conditions = {
            name: condition for name, condition in self.conditions.items() if name.partition("/")[0] in names
        }
        self.readings = {name: one for name, one in self.readings.items() if name.partition("/")[0] in names}
        self._budgets = {name: budget for name, budget in self._budgets.items() if name in names}
        self.exhausted = {}  # a limit may have been raised
        self.change()

    def change(self) -> None:
        """Note a change of faults: conclusions from the previous ones no longer hold."""
        self.version = object()

    def under(self, snapshot: Snapshot) -> "Live":
        """Return the same state with the snapshot that a request was admitted under, for one decision."""
        if snapshot is self.snapshot:
            return self
        view = copy(self)
        view.snapshot = snapshot
        return view

    def refused(self, limit: Limit, ends_at: float, now: float) -> None:
        """Note that nothing is left of a limit whose window ends at `ends_at`. It is not asked for again for a
        moment."""
        self.exhausted[limit.counter] = Exhausted(limit, min(now + EXHAUSTED_S, ends_at), ends_at)
        self.change()

    def forget_exhausted(self, now: float) -> None:
        """Forget limits that may have something left by now."""
        left = {name: found for name, found in self.exhausted.items() if found.until > now}
        if len(left) < len(self.exhausted):
            self.exhausted = left
            self.change()

    def may_retry(self, provider: str, now: float) -> bool:
        budget = self._budgets.get(provider)
        return self._budget.has_token(now) and (budget is None or budget.has_token(now))

    def begin(
        self,
        candidate: Candidate,
        now: float,
        *,
        is_retry: bool,
        key: ProviderKey | None = None,
        operation: Operation = "chat",
    ) -> None:
        """Note the start of an attempt."""
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
        if self.conditions and (condition := self.conditions.get(health.subject(candidate, operation))) is not None:
            self._put_condition(health.subject(candidate, operation), health.begin(condition, now))
        if self.key_blocks and key is not None:
            for block_name in _block_names(candidate, key):
                block = self.key_blocks.get(block_name)
                if block is not None:
                    self._put_block(block_name, health.begin_on(block, now))

    def finish(  # noqa: PLR0913 -- the facts of one attempt
        self,
        candidate: Candidate,
        key: ProviderKey,
        failure: Failure | None,
        now: float,
        *,
        began_at: float | None = None,
        operation: Operation = "chat",
        first_byte_at: float | None = None,
        tokens_out: int = 0,
    ) -> None:
        """Note that an attempt that began at `began_at` (absent: just now) ended, well or with `failure`."""
        name = candidate.id
        count = self.in_progress[name] - 1
        if count:
            self.in_progress[name] = count
        else:
            del self.in_progress[name]
        began_at = now if began_at is None else began_at
        if operation != "chat":
            name = health.subject(candidate, operation)
        before = self.readings.get(name)
        reading = observe(before, failure, began_at, first_byte_at, ended_at=now, tokens=tokens_out)
        if reading is not None and reading is not before:
            self.readings[name] = reading
            if before is None and len(self.readings) > MAX_CONDITIONS:
                del self.readings[next(iter(self.readings))]
        if failure is None and name not in self.conditions and not self.key_blocks:
            return
        limits = self.snapshot.routing.health
        condition = health.observe(self.conditions.get(name), failure, now, now - began_at, limits)
        self._put_condition(name, condition)
        if self.key_blocks or (failure is not None and health.is_refusal(failure)):
            self._learn_of_key(candidate, key, failure, now, began_at)
            if now >= self._tidied_at + TIDY_S:  # a model that is never used again must not be remembered
                self._tidied_at = now
                for block_name, block in list(self.key_blocks.items()):
                    if health.is_forgotten(block, now):
                        self._put_block(block_name, None)

    def _learn_of_key(
        self, candidate: Candidate, key: ProviderKey, failure: Failure | None, now: float, began_at: float
    ) -> None:
        """Learn from an attempt about its key: for its model, for all models, or for all because several were
        refused."""
        of_model, of_all = _block_names(candidate, key)
        of_key = (candidate.endpoint.name, key.name)
        if failure is None:
            self._served[of_key] = began_at
            for name in (of_model, of_all):
                self._put_block(name, health.block_key(self.key_blocks.get(name), None, now, began_at))
            return
        name = of_all if health.is_of_key(failure) else of_model
        self._put_block(name, health.block_key(self.key_blocks.get(name), failure, now, began_at))
        if name is of_model and health.is_refusal(failure):
            wide = health.widened(self.key_blocks, *of_key, now, self._served.get(of_key, 0.0))
            if wide is not None:
                self._put_block(of_all, wide)

    def _put_condition(self, name: str, condition: Condition | None) -> None:
        if condition is self.conditions.get(name):
            return
        self.change()
        if condition is None:
            del self.conditions[name]
        else:
            self.conditions[name] = condition
            if len(self.conditions) > MAX_CONDITIONS:
                del self.conditions[next(iter(self.conditions))]  # the oldest: names may come from clients

    def _put_block(self, name: KeyName, block: KeyBlock | None) -> None:
        if block is self.key_blocks.get(name):
            return
        self.change()
        if block is None:
            del self.key_blocks[name]
            if not self.key_blocks:
                self._served.clear()
            return
        self.key_blocks[name] = block
        if len(self.key_blocks) > MAX_CONDITIONS:
            del self.key_blocks[next(iter(self.key_blocks))]


def _block_names(candidate: Candidate, key: ProviderKey) -> tuple[KeyName, KeyName]:
    provider = candidate.endpoint.name
    return (provider, key.name, candidate.model), (provider, key.name, None)
