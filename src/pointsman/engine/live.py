"""The mutable state of the data plane. It is one object that has only synchronous methods.

Under asyncio a method without `await` is a transaction, so there are no locks. Values are immutable, and the pure
functions of `routing` compute the values that replace them.
"""

import logging
from collections.abc import Mapping
from copy import copy
from math import inf
from typing import Protocol

from pointsman.domain.calls import Call
from pointsman.domain.failures import SUPERSEDED, Failure, Fault
from pointsman.domain.holds import Held
from pointsman.domain.limits import Limit
from pointsman.domain.operations import Operation
from pointsman.domain.quotas import Quota
from pointsman.domain.snapshots import Snapshot
from pointsman.domain.targets import Arm, Candidate, ProviderKey
from pointsman.money.charges import Answers
from pointsman.money.end_users import EndUsers
from pointsman.money.pacing import Pacer
from pointsman.money.usage import UsedAmounts
from pointsman.routing import canaries, concurrency, faults, health, hedges, paces, quotas, readings, retry_budget
from pointsman.routing.view import Exhausted, Saturated

MAX_READINGS = 10_000
MAX_PACERS = 10_000
IN_USE_S = 60.0  # since its last attempt, a provider counts as one in use
EXHAUSTED_S = 0.5  # how long an exhausted limit is assumed to stay exhausted

_logger = logging.getLogger(__name__)


class Amounts(Protocol):
    """The used amounts of limits."""

    def used(self, limit: Limit, unix_s: float) -> int | None:
        """Return the amount used in the limit's window at `unix_s`, in units of its metric; `None` if unknown."""
        ...


class Live:
    """The present snapshot, and the state learned about providers and keys. Implements `routing.view.View`.

    `amounts` are the used amounts of limits; by default nothing was spent. `workers` is the number of those that share
    them. `is_cut_off` is true while control cannot be reached, `is_stale` once that has lasted longer than the snapshot
    may be trusted.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.version = object()
        self.amounts: Amounts = UsedAmounts()
        self.workers = 1
        self.end_users = EndUsers()
        self.is_cut_off = False
        self.checks_all = False  # every request is checked, not only those of some keys
        self._is_stale = False
        self.paused: Mapping[str, Held] = {}  # by owner, such as `team:research`
        self.faults = faults.Faults(self.change)
        self.conditions, self.key_blocks = self.faults.conditions, self.faults.key_blocks
        self.exhausted: dict[str, Exhausted] = {}
        self.saturated: Saturated = frozenset()
        self.in_progress: dict[str, int] = {}
        self.readings: dict[str, readings.Reading] = {}
        self.answers: dict[str, Answers] = {}
        self.hedges = hedges.Hedges()
        self.paces = paces.Paces()
        self.paces.on_quality = self.faults.note_pace
        self.quotas = quotas.Quotas()
        self.concurrency = concurrency.Concurrency()
        self.canaries = canaries.Canaries()
        self.aborted: Mapping[Arm, canaries.Aborted] = {}
        self._served_at = 0.0  # when any provider last answered
        self._budget = retry_budget.RetryBudget()
        self._budgets: dict[str, retry_budget.RetryBudget] = {}
        self._pacers: dict[str, Pacer] = {}  # by counter

    @property
    def is_stale(self) -> bool:
        return self._is_stale

    @is_stale.setter
    def is_stale(self, is_stale: bool) -> None:
        self._is_stale = is_stale
        self.checks_all = is_stale or bool(self.paused)

    def pause(self, owners: Mapping[str, Held]) -> None:
        """Put these pauses of keys, teams and customers in force, instead of all earlier ones."""
        self.paused = owners
        self.checks_all = self._is_stale or bool(owners)

    @property
    def holds(self) -> Mapping[str, Held]:
        return self.faults.holds

    def swap(self, snapshot: Snapshot) -> None:
        """Put a new configuration in force. Learned state is kept for targets and keys that still exist."""
        self.snapshot = snapshot
        keys = {(endpoint.name, key.name) for endpoint in snapshot.endpoints.values() for key in endpoint.keys}
        names = snapshot.endpoints.keys()
        self.faults.keep(names, keys)
        self.hedges.keep(names)
        self.paces.keep(names)
        self.concurrency.keep(names)
        self.quotas.keep(keys)
        self.readings = {name: one for name, one in self.readings.items() if name.partition("/")[0] in names}
        self._budgets = {name: budget for name, budget in self._budgets.items() if name in names}
        chosen = [*(one.targets for one in snapshot.models.values()), *(rule.targets for rule in snapshot.rules)]
        self.canaries.keep(item for targets in chosen for item in targets)
        self.aborted = self.canaries.aborted
        self.exhausted = {}  # a limit may have been raised
        self.change()

    def change(self) -> None:
        """Change the version, so that no decision that was derived from the previous state is reused."""
        self.version = object()

    def with_snapshot(self, snapshot: Snapshot) -> "Live":
        """Return the same state with the snapshot that a request was admitted under, for one decision."""
        if snapshot is self.snapshot:
            return self
        view = copy(self)
        view.snapshot = snapshot
        return view

    def note_exhausted(self, limit: Limit, ends_at: float, now: float, resets_at: int) -> None:
        """Note that nothing is left of a limit whose window ends at `ends_at`, which is `resets_at` in Unix seconds.
        Attempts that count in it are left out for `EXHAUSTED_S` seconds."""
        self.exhausted[limit.counter] = Exhausted(limit, min(now + EXHAUSTED_S, ends_at), ends_at, resets_at)
        self.change()

    def forget_exhausted(self, now: float) -> None:
        """Forget exhausted limits that may have room again."""
        left = {name: found for name, found in self.exhausted.items() if found.until > now}
        if len(left) < len(self.exhausted):
            self.exhausted = left
            self.change()

    def most_in_progress(self, item: Candidate) -> int | None:
        return self.concurrency.most(item, self.workers)

    def may_retry(self, provider: str, now: float) -> bool:
        budget = self._budgets.get(provider)
        return self._budget.has_token(now) and (budget is None or budget.has_token(now))

    def used(self, limit: Limit, unix_s: float) -> int | None:
        return self.amounts.used(limit, unix_s)

    def pacer(self, limit: Limit) -> Pacer:
        pacer = self._pacers.get(limit.counter)
        if pacer is None:
            if len(self._pacers) >= MAX_PACERS:
                del self._pacers[next(iter(self._pacers))]
            pacer = self._pacers[limit.counter] = Pacer(self.workers)
        return pacer

    def begin(
        self,
        candidate: Candidate,
        now: float,
        *,
        is_retry: bool,
        key: ProviderKey | None = None,
        operation: Operation = "chat",
        call: Call | None = None,
    ) -> None:
        """Note the start of an attempt. `call` is needed only to mirror the limits of its key."""
        name = candidate.id
        self.in_progress[name] = self.in_progress.get(name, 0) + 1
        provider = candidate.endpoint.name
        budget = self._budgets.get(provider)
        if budget is None:
            budget = self._budgets[provider] = retry_budget.RetryBudget(updated_at=now)
        budget.used_at = now
        if is_retry:
            budget.spend()
            self._budget.spend()
        else:
            budget.earn()
            self._budget.earn()
        if self.conditions or self.key_blocks:
            self.faults.begin(health.subject(candidate, operation), candidate, key, now)
        if self.quotas.mirrors and key is not None and call is not None:
            self.quotas.send(candidate, key.name, call, now)

    def note_quota(self, candidate: Candidate, key: ProviderKey, quota: Quota, began_at: float, *, at: float) -> None:
        """Note the limits of a key that the answer to an attempt reported in its head. The attempt began at `began_at`,
        and the head came at `at`. Note them before `finish`, which notes a 429."""
        self.quotas.note(candidate, key.name, quota, began_at, at=at)

    def begin_answer(self, candidate: Candidate, now: float, *, operation: Operation = "chat") -> None:
        """Note the first content of a stream."""
        self._served_at = now
        if self.conditions:
            self.faults.begin_answer(health.subject(candidate, operation), now)

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
        content_at: float | None = None,
        has_begun: bool = False,
        call: Call | None = None,
    ) -> None:
        """Note the end of an attempt. `failure` is absent if it succeeded, and `began_at` if it began just now.
        `content_at` is the time of the first content of a stream, and `has_begun` says that `begin_answer` noted it.
        `call` is needed only to learn how many attempts a candidate can serve at once."""
        name = candidate.id
        if call is not None and candidate.endpoint.max_concurrency == "auto" and began_at is not None:
            content_s = content_at - began_at if content_at is not None else None
            shown = concurrency.ratio_of(call, failure, now - began_at, content_s, tokens_out)
            self.concurrency.note(candidate, shown, self.in_progress[name])
        count = self.in_progress[name] - 1
        if count:
            self.in_progress[name] = count
        else:
            del self.in_progress[name]
        began_at = now if began_at is None else began_at
        if self.quotas.mirrors or (failure is not None and failure.kind.fault is Fault.QUOTA):
            self.quotas.settle(candidate, key.name, failure, began_at, now=now, tokens_out=tokens_out)
        if candidate.arm is not None:
            self._compare(candidate.arm, failure, first_byte_at - began_at if first_byte_at is not None else None, now)
        if operation != "chat":
            name = health.subject(candidate, operation)
        before = self.readings.get(name)
        reading = readings.observe(
            before, failure, began_at, first_byte_at, ended_at=now, tokens=tokens_out, content_at=content_at
        )
        if reading is not None and reading is not before:
            self.readings[name] = reading
            if before is None and len(self.readings) > MAX_READINGS:
                del self.readings[next(iter(self.readings))]
        if failure is not None and failure.kind is SUPERSEDED and content_at is not None:
            condition = self.conditions.get(name)
            if condition is None or not condition.cut_at:
                failure = None  # the probe of a race: its content came, though another attempt answered
        if failure is None:
            self._served_at = now
            if name not in self.conditions and not self.key_blocks:
                return
        was_until = self.faults.suspicion.until
        self.faults.finish(
            name,
            candidate,
            key,
            failure,
            now,
            began_at=began_at,
            limits=self.snapshot.routing.health,
            in_use=sum([one.used_at > now - IN_USE_S for one in self._budgets.values()]) if failure is not None else 0,
            served_at=self._served_at,
            has_begun=has_begun,
        )
        if self.faults.suspicion.until > was_until and was_until < now:
            names = ", ".join(self.faults.suspicion.providers)
            _logger.error("most providers failed within seconds (%s): check this machine's network and DNS", names)

    def _compare(self, arm: Arm, failure: Failure | None, first_byte_s: float | None, now: float) -> None:
        """Note an attempt for the comparison of a canary with its control."""
        found = self.canaries.observe(arm, failure, first_byte_s, now)
        if found is not None:
            after = f"for {found.until - now:g} s" if found.until < inf else "until its settings change"
            _logger.warning("the canary %s of %s is aborted %s: %s", arm.target, arm.model, after, found.reason)
        if self.aborted is not self.canaries.aborted:
            self.aborted = self.canaries.aborted
            self.change()
