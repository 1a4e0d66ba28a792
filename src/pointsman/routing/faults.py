"""The breakers and key blocks of one worker: what attempts show, what operators order, and what other workers tell.

Policies turn them into objections. Another worker's open breaker is advice: the fault may lie on its side. A rejected
key is a fact about an account, so its block holds for every worker.
"""

from collections.abc import Callable, Collection, Iterable

from msgspec.structs import replace

from pointsman.domain.failures import KINDS, OPERATOR_HOLD, Failure, Fault, Scope
from pointsman.domain.holds import Held, key_in
from pointsman.domain.snapshots import HealthLimits
from pointsman.domain.targets import Candidate, ProviderKey
from pointsman.routing import health
from pointsman.routing.fault_news import MOST_FAULTS, BreakerNews, FaultNews, KeyNews
from pointsman.routing.health_states import Standing
from pointsman.routing.suspicion import Suspicion

MAX_CONDITIONS = 10_000
MAX_STANDINGS = 500  # names of models may come from clients
TIDY_S = 60.0

_SERVED = "it answered"
_ELSEWHERE = "another worker was served"
_FORCED = "an operator forced it in"


class Faults:
    """The present faults. `conditions` and `key_blocks` are only changed in place, and `on_change` is called after each
    change. `standings` has the last transition of each operation of a target and of each key. `holds` are the orders
    of operators in force. If `on_news` is set, changes are collected for other workers, and it is called with the
    first of them."""

    def __init__(self, on_change: Callable[[], None]) -> None:
        self.conditions: dict[str, health.Condition] = {}
        self.key_blocks: dict[health.KeyName, health.KeyBlock] = {}
        self.standings: dict[str | health.KeyName, Standing] = {}
        self.holds: dict[str, Held] = {}
        self.suspicion = Suspicion()
        self.on_news: Callable[[], None] | None = None
        self._on_change = on_change
        self._breaker_news: dict[str, BreakerNews] = {}
        self._key_news: dict[health.KeyName, KeyNews] = {}
        self._served: dict[tuple[str, str], float] = {}  # when a key last served, while one is blocked
        self._tidied_at = 0.0

    def keep(self, providers: Collection[str], keys: Collection[tuple[str, str]]) -> None:
        """Forget other providers and keys."""
        for name in [name for name in self.conditions if name.partition("/")[0] not in providers]:
            del self.conditions[name]
        gone = [name for name, one in self.key_blocks.items() if name[:2] not in keys and _is_learned(one)]
        for block_name in gone:  # a hold stays: the key may come back
            del self.key_blocks[block_name]
        self.standings = {
            name: one
            for name, one in self.standings.items()
            if (name.partition("/")[0] in providers if isinstance(name, str) else name[:2] in keys)
        }

    # Attempts.

    def begin(self, name: str, candidate: Candidate, key: ProviderKey | None, now: float) -> None:
        """Note the start of an attempt at an operation, which has this `name`. It may be a trial."""
        condition = self.conditions.get(name)
        if condition is not None:
            begun = health.begin(condition, now)
            if begun is not condition:
                self._put_condition(name, begun, now, "")
                self._tell(BreakerNews(name, "trial"))
        if self.key_blocks and key is not None:
            for block_name in _block_names(candidate, key):
                block = self.key_blocks.get(block_name)
                if block is not None:
                    self._put_block(block_name, health.block_after_start(block, now), now)

    def begin_answer(self, name: str, now: float) -> None:
        """Note the first content of a stream. It is a success, since a long stream that began before a fault must not
        hide it at its end. If streams are cut, only the ends of those that began after it are successes."""
        condition = self.conditions.get(name)
        if condition is not None and not condition.cut_at:
            self._serve(name, now)

    def _serve(self, name: str, now: float) -> None:
        before = self.conditions.get(name)
        if before is not None:
            self._put_condition(name, health.observe(before, None, now), now, _SERVED)
            if before.blocks:
                self._tell(BreakerNews(name, "served"))

    def finish(  # noqa: PLR0913 -- the facts of one attempt
        self,
        name: str,
        candidate: Candidate,
        key: ProviderKey,
        failure: Failure | None,
        now: float,
        *,
        began_at: float,
        limits: HealthLimits,
        in_use: int,
        served_at: float,
        has_begun: bool = False,
    ) -> None:
        """Note the end of an attempt. `in_use` is the number of providers used lately, and `served_at` the last time
        that any answered. `has_begun` says that `begin_answer` noted its first content."""
        before = self.conditions.get(name)
        if failure is None:
            if not has_begun or (before is not None and 0.0 < before.cut_at <= began_at):
                self._serve(name, now)
        else:
            may_trip = True
            if health.event_of(before, failure, now, limits) == "trip":
                may_trip = not self._is_forced(candidate.id, now) and not self._suspects(
                    name, candidate, failure, now, limits=limits, in_use=in_use, served_at=served_at
                )
            condition = health.observe(
                before, failure, now, now - began_at, limits, may_trip=may_trip, is_cut=has_begun
            )
            self._put_condition(name, condition, now, failure.message)
            was_open = 0 if before is None else before.blocks
            if condition is not None and condition.blocks > was_open and not condition.is_lacking:
                self._tell(BreakerNews(name, "opened", condition.blocked_until, failure.message))
        if self.key_blocks or (failure is not None and health.blocks_key(failure)):
            self._learn_about_key(candidate, key, failure, now, began_at)
            self._tidy(now)

    def note_pace(self, name: str, is_poor: bool, now: float, reason: str) -> None:
        """Note that the learned pace of an operation became poor, or as usual again."""
        before = self.conditions.get(name)
        if is_poor or before is not None:
            found = health.changed(before or health.Condition(), "slow" if is_poor else "steady", now)
            self._put_condition(name, found, now, reason)

    def _suspects(
        self,
        name: str,
        candidate: Candidate,
        failure: Failure,
        now: float,
        *,
        limits: HealthLimits,
        in_use: int,
        served_at: float,
    ) -> bool:
        """Return whether this gateway suspects itself instead of the provider. Then the other breakers that have just
        opened are closed."""
        if failure.kind.fault is not Fault.PROVIDER:
            return False
        standing, condition = self.standings.get(name), self.conditions.get(name)
        since = standing.since if standing is not None and condition is not None else now
        was_until, provider = self.suspicion.until, candidate.endpoint.name
        found = self.suspicion.note_trip(provider, now, since, in_use=in_use, served_at=served_at)
        if found and self.suspicion.until > was_until:
            reason = "most providers failed together, so this gateway suspects itself"
            for other, condition in list(self.conditions.items()):
                if condition.blocks and other.partition("/")[0] in self.suspicion.providers:
                    self._put_condition(other, health.changed(condition, "cleared", now, limits), now, reason)
        return found

    def _learn_about_key(
        self, candidate: Candidate, key: ProviderKey, failure: Failure | None, now: float, began_at: float
    ) -> None:
        """Update the blocks of an attempt's key, for its model or for all models. If several models reject the key, it
        is blocked for all of them."""
        of_model, of_all = _block_names(candidate, key)
        of_key = (candidate.endpoint.name, key.name)
        if failure is None:
            self._served[of_key] = began_at
            for name in (of_model, of_all):
                self._put_block(name, health.block_key(self.key_blocks.get(name), None, now, began_at), now)
            return
        if failure.kind.fault is Fault.CREDENTIAL and self._is_in(f"{of_key[0]}:{of_key[1]}", now):
            return
        name = of_all if health.covers_whole_key(failure) else of_model
        self._put_block(name, health.block_key(self.key_blocks.get(name), failure, now, began_at), now)
        if name is of_model and health.blocks_key(failure):
            wide = health.block_of_whole_key(self.key_blocks, *of_key, now, self._served.get(of_key, 0.0))
            if wide is not None:
                self._put_block(of_all, wide, now)

    def _tidy(self, now: float) -> None:
        """Forget the blocks of models that are never used again."""
        if now >= self._tidied_at + TIDY_S:
            self._tidied_at = now
            for name, block in list(self.key_blocks.items()):
                if health.is_forgotten(block, now):
                    self._put_block(name, None, now, reason="the block ended long ago")

    # Operators.

    def hold(self, found: Iterable[Held], now: float) -> None:
        """Put these holds in force, instead of all earlier ones."""
        holds = {one.hold.name: one for one in found}
        if holds == self.holds:
            return
        self.holds = holds
        for name, block in list(self.key_blocks.items()):
            if block.failure.kind is OPERATOR_HOLD:
                del self.key_blocks[name]
        for one in holds.values():
            key = key_in(one.hold.name)
            if one.hold.effect == "in":
                self._clear(one.hold.name, now)
            elif key is not None:
                failure = Failure(OPERATOR_HOLD, one.hold.describe(), scope=Scope.KEY)
                self.key_blocks[*key, None] = health.KeyBlock(until=one.until, failure=failure, since=now)
        self._on_change()

    def _clear(self, name: str, now: float) -> None:
        """Lift the breakers and the rejections that keep requests from something that an operator forced in."""
        key = key_in(name)
        for block_name, block in list(self.key_blocks.items()):
            if block_name[:2] == key and block.failure.kind.fault is Fault.CREDENTIAL:
                self._put_block(block_name, None, now, reason=_FORCED)
        for subject, condition in list(self.conditions.items()):
            target = subject.partition("\t")[0]
            if condition.blocks and name in (target, target.partition("/")[0]):
                self._put_condition(subject, health.changed(condition, "cleared", now), now, _FORCED)

    def _is_forced(self, target: str, now: float) -> bool:
        """Return whether an operator forced in a target, or its provider."""
        return bool(self.holds) and (self._is_in(target, now) or self._is_in(target.partition("/")[0], now))

    def _is_in(self, name: str, now: float) -> bool:
        found = self.holds.get(name)
        return found is not None and found.hold.effect == "in" and now < found.until

    # Other workers.

    def take_news(self) -> FaultNews | None:
        """Return the changes since the last call, or `None` if there are none."""
        if not self._breaker_news and not self._key_news:
            return None
        found = FaultNews(list(self._breaker_news.values())[:MOST_FAULTS], list(self._key_news.values())[:MOST_FAULTS])
        self._breaker_news, self._key_news = {}, {}
        return found

    def whole(self, now: float) -> FaultNews:
        """Return all present faults, for a worker that has just started."""
        breakers = [
            BreakerNews(name, "opened", one.blocked_until, self._reason(name))
            for name, one in self.conditions.items()
            if one.blocks and not one.is_lacking
        ]
        keys = [_key_news(name, one) for name, one in self.key_blocks.items() if one.until > now and _is_learned(one)]
        return FaultNews(breakers[:MOST_FAULTS], keys[:MOST_FAULTS])

    def learn(self, news: FaultNews, now: float, limits: HealthLimits) -> None:
        """Take the changes of another worker. Its open breaker makes this one degraded, so that the next failure opens
        it here, and its trial holds back a trial here. A key that it rejects is blocked here, too."""
        for one in news.breakers:
            self._learn_breaker(one, now, limits)
        for key in news.keys:
            name = (key.provider, key.key, key.model)
            block = self.key_blocks.get(name)
            if not key.code:
                if block is not None and block.since <= key.since:
                    self._put_block(name, None, now, is_own=False, reason=_ELSEWHERE)
            elif key.code in KINDS and (block is None or block.until < key.until):
                scope = Scope(key.scope) if key.scope is not None else None
                failure = Failure(KINDS[key.code], key.message, scope=scope)
                probe_at = health.probe_at(key.since, key.count)
                found = health.KeyBlock(
                    until=key.until, failure=failure, count=key.count, since=key.since, probe_at=probe_at
                )
                self._put_block(name, found, now, is_own=False)

    def _learn_breaker(self, news: BreakerNews, now: float, limits: HealthLimits) -> None:
        name, before = news.name, self.conditions.get(news.name)
        if news.event == "opened":
            if news.until > now and not self._is_forced(name.partition("\t")[0], now):
                found = health.changed(before or health.Condition(), "warned", now, limits, news.until)
                self._put_condition(name, found, now, f"at another worker: {news.reason}")
        elif before is None:
            return
        elif news.event == "trial" and before.blocks:
            self._put_condition(name, replace(before, trial_until=now + health.OTHERS_TRIAL_S), now, "")
        elif news.event == "served" and before.blocks:
            self._put_condition(name, health.changed(before, "due", now), now, _ELSEWHERE)
        elif news.event == "served":
            self._put_condition(name, health.observe(before, None, now), now, _ELSEWHERE)

    def _tell(self, news: BreakerNews | KeyNews) -> None:
        if self.on_news is None:
            return
        is_first = not self._breaker_news and not self._key_news
        if isinstance(news, BreakerNews):
            self._breaker_news[news.name] = news
        else:
            self._key_news[news.provider, news.key, news.model] = news
        if is_first:
            self.on_news()

    # Changes.

    def standing(self, name: str | health.KeyName, now: float) -> Standing | None:
        """Return the present state of an operation of a target or of a key, if it ever had a fault."""
        found = self.standings.get(name)
        fault = self.conditions.get(name) if isinstance(name, str) else self.key_blocks.get(name)
        if found is None or fault is None or found.state != "failed" or fault.health(now) != "recovering":
            return found
        ended_at = fault.blocked_until if isinstance(fault, health.Condition) else fault.until
        return Standing("recovering", ended_at, f"the block is over; before it: {found.reason}")

    def _reason(self, name: str) -> str:
        found = self.standings.get(name)
        return found.reason if found is not None else ""

    def _put_condition(self, name: str, condition: health.Condition | None, now: float, reason: str) -> None:
        before = self.conditions.get(name)
        if condition == before:
            return  # such as an answer of a target that stays slow: nothing must be decided anew
        if condition is None:
            del self.conditions[name]
        else:
            self.conditions[name] = condition
            if len(self.conditions) > MAX_CONDITIONS:
                del self.conditions[next(iter(self.conditions))]  # the oldest: names may come from clients
        state = health.state_of(condition, now)
        if state != health.state_of(before, now):
            self._stand(name, Standing(state, now, reason))
        self._on_change()

    def _put_block(
        self,
        name: health.KeyName,
        block: health.KeyBlock | None,
        now: float,
        *,
        is_own: bool = True,
        reason: str = _SERVED,
    ) -> None:
        before = self.key_blocks.get(name)
        is_held = before is not None and not _is_learned(before) and now < before.until
        if block is before or is_held:
            return
        if block is None:
            assert before is not None
            del self.key_blocks[name]
            if not self.key_blocks:
                self._served.clear()
            self._stand(name, Standing("healthy", now, reason))
            if is_own and before.until > now:
                self._tell(KeyNews(*name, since=now))
        else:
            self.key_blocks[name] = block
            if len(self.key_blocks) > MAX_CONDITIONS:
                del self.key_blocks[next(name for name, one in self.key_blocks.items() if _is_learned(one))]
            if before is None or block.since != before.since:
                self._stand(name, Standing("failed", now, block.failure.message))
                if is_own:
                    self._tell(_key_news(name, block))
        self._on_change()

    def _stand(self, name: str | health.KeyName, standing: Standing) -> None:
        self.standings.pop(name, None)  # the latest are at the end
        self.standings[name] = standing
        if len(self.standings) > MAX_STANDINGS:
            del self.standings[next(iter(self.standings))]


def _block_names(candidate: Candidate, key: ProviderKey) -> tuple[health.KeyName, health.KeyName]:
    provider = candidate.endpoint.name
    return (provider, key.name, candidate.model), (provider, key.name, None)


def _is_learned(block: health.KeyBlock) -> bool:
    return block.failure.kind is not OPERATOR_HOLD


def _key_news(name: health.KeyName, block: health.KeyBlock) -> KeyNews:
    failure = block.failure
    scope = failure.scope.value if failure.scope is not None else None
    return KeyNews(
        *name,
        since=block.since,
        until=block.until,
        count=block.count,
        code=failure.kind.code,
        message=failure.message,
        scope=scope,
    )
