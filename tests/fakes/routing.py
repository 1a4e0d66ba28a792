"""Builders for the input of the routing core, a fake view, and a loop that runs plans on a virtual clock."""

from collections.abc import Callable, Iterator, Sequence
from itertools import cycle

from msgspec import Struct

from pointsman.domain import failures
from pointsman.domain.calls import Call, Facts, RequestHead
from pointsman.domain.failures import Failure, Fault, Kind
from pointsman.domain.holds import Held
from pointsman.domain.limits import Limit
from pointsman.domain.network import Network
from pointsman.domain.operations import OPERATIONS, Operation
from pointsman.domain.origin import Origin, Secret
from pointsman.domain.outcomes import PastAttempt
from pointsman.domain.plans import Await, Choice, GiveUp, Plan, Progress, Step, Try
from pointsman.domain.rules import Directive
from pointsman.domain.snapshots import NO_SNAPSHOT, Failover, PublicModel, Routing, Snapshot, Timeouts
from pointsman.domain.targets import Arm, Candidate, Endpoint, ProviderKey, Strategy, candidate
from pointsman.domain.verdicts import Reason
from pointsman.money.charges import Answers
from pointsman.money.end_users import EndUsers
from pointsman.money.pacing import Pacer
from pointsman.routing import health
from pointsman.routing.canaries import Aborted
from pointsman.routing.concurrency import Concurrency
from pointsman.routing.decide import decide
from pointsman.routing.failover import is_repeat, next_step
from pointsman.routing.health import Condition, KeyBlock, KeyName
from pointsman.routing.hedges import Hedges
from pointsman.routing.paces import Paces
from pointsman.routing.policies import ON_REQUEST, STATIC, Asker, Check, Static
from pointsman.routing.quotas import Quotas
from pointsman.routing.readings import Reading
from pointsman.routing.retry_budget import RetryBudget
from pointsman.routing.view import Exhausted, View

NOW = 1000.0
ALL_OPERATIONS = frozenset(OPERATIONS)


def _on_request(static: Static) -> Check:
    def check(item: Candidate, facts: Facts, view: View, now: float) -> Reason | None:
        directive = view.directive if isinstance(view, FakeView) else None
        return static(item, Asker(facts.call.operation, facts.virtual_key, view.snapshot, facts.unix_s, directive))

    return check


POLICIES = tuple(sorted((*((name, _on_request(static)) for name, static in STATIC), *ON_REQUEST)))
"""All policies. A static policy is wrapped so that it checks each request."""
_FAILOVER = Failover()


def provider_key(name: str, weight: float = 1.0, serves: tuple[str, ...] = ()) -> ProviderKey:
    return ProviderKey(name, Secret(f"secret of {name}"), weight, serves)


def endpoint(
    name: str,
    *keys: str | ProviderKey,
    operations: frozenset[Operation] = ALL_OPERATIONS,
    serves: tuple[str, ...] = (),
) -> Endpoint:
    """Build a provider. By default it has one key, `k1`. With `serves`, it serves no other names."""
    built = tuple(provider_key(key) if isinstance(key, str) else key for key in keys or ("k1",))
    return Endpoint(
        name=name,
        type="openai",
        origin=Origin("http", f"{name}.test", 80),
        base_path="/v1",
        keys=built,
        operations=operations,
        serves=serves,
        serves_only=bool(serves),
    )


def snapshot(
    endpoints: Sequence[Endpoint],
    targets: Sequence[Candidate] = (),
    fallbacks: Sequence[Candidate] = (),
    *,
    strategy: str | None = None,
    max_attempts: int = 5,
    queue_s: float = 5.0,
    commit_s: float = 600.0,
    failover: Failover = _FAILOVER,
) -> Snapshot:
    """Build a configuration in which the public name `chat` has `targets` and `fallbacks`."""
    chosen = Strategy(strategy) if strategy is not None else None
    models = (
        {"chat": PublicModel(name="chat", targets=tuple(targets), fallbacks=tuple(fallbacks), strategy=chosen)}
        if targets
        else {}
    )
    timeouts = Timeouts(commit_s=commit_s, queue_s=queue_s)
    routing = Routing(strategy=Strategy("priority"), max_attempts=max_attempts, timeouts=timeouts, failover=failover)
    return Snapshot(
        digest="digest",
        endpoints={item.name: item for item in endpoints},
        models=models,
        virtual_keys={},
        routing=routing,
    )


def call(
    model: str = "chat",
    operation: Operation = "chat",
    *,
    fallbacks: tuple[str, ...] = (),
    provider: str | None = None,
    timeout_s: float | None = None,
    stateful: bool = False,
) -> Call:
    return Call(
        operation=operation,
        head=RequestHead(path="/chat/completions", provider=provider, timeout_s=timeout_s),
        snapshot=NO_SNAPSHOT,
        model=model,
        size=2,
        fallbacks=fallbacks,
        stateful=stateful,
    )


def failure(kind: Kind = failures.UPSTREAM_ERROR, retry_after_s: float | None = None) -> Failure:
    return Failure(kind, f"said {kind.code}", retry_after_s=retry_after_s)


class ScriptedRandom:
    """A random generator that returns the given numbers in turn, repeatedly."""

    def __init__(self, *numbers: float) -> None:
        self._numbers = cycle(numbers or (0.0,))

    def random(self) -> float:
        return next(self._numbers)


class FakeView:
    """Live state, kept like that of the data plane. `tokens` of `None` means an endless retry budget."""

    def __init__(self, configuration: Snapshot, *, tokens: int | None = None) -> None:
        self.snapshot = configuration
        self.conditions: dict[str, Condition] = {}
        self.key_blocks: dict[KeyName, KeyBlock] = {}
        self.exhausted: dict[str, Exhausted] = {}
        self.saturated: set[tuple[Network, Origin]] = set()
        self.aborted: dict[Arm, Aborted] = {}
        self.holds: dict[str, Held] = {}
        self.readings: dict[str, Reading] = {}
        self.in_progress: dict[str, int] = {}
        self.answers: dict[str, Answers] = {}
        self.hedges = Hedges()
        self.paces = Paces()
        self.quotas = Quotas()
        self.concurrency = Concurrency()
        self.workers = 1
        self.amounts: dict[str, int | None] = {}  # used, by counter
        self.pacers: dict[str, Pacer] = {}
        self.end_users = EndUsers()
        self.directive: Directive | None = None  # of rules that match each request
        self.tokens = tokens
        self.budget: RetryBudget | None = None  # a real budget that replaces `tokens`

    @property
    def version(self) -> object:
        """Never equal to an earlier version, because tests change the state directly and nothing may be cached."""
        return object()

    def most_in_progress(self, item: Candidate) -> int | None:
        return self.concurrency.most(item, self.workers)

    def may_retry(self, provider: str, now: float) -> bool:
        if self.budget is not None:
            return self.budget.has_token(now)
        return self.tokens is None or self.tokens > 0

    def used(self, limit: Limit, unix_s: float) -> int | None:
        return self.amounts.get(limit.counter, 0)

    def pacer(self, limit: Limit) -> Pacer:
        return self.pacers.setdefault(limit.counter, Pacer())

    def begin(self, step: Try, history: Sequence[PastAttempt], now: float) -> None:
        item = step.choice.candidate
        if is_repeat(item.id, history):
            if self.tokens is not None:
                self.tokens -= 1
            if self.budget is not None:
                self.budget.spend()
        elif self.budget is not None:
            self.budget.earn()
        condition = self.conditions.get(item.id)
        if condition is not None:
            self.conditions[item.id] = health.begin(condition, now)
        for model in (item.model, None):
            name = (item.endpoint.name, step.key.name, model)
            if name in self.key_blocks:
                self.key_blocks[name] = health.block_after_start(self.key_blocks[name], now)

    def finish(self, attempt: PastAttempt) -> None:
        condition = health.observe(self.conditions.get(attempt.candidate), attempt.failure, attempt.ended_at)
        self.conditions.pop(attempt.candidate, None)
        if condition is not None:
            self.conditions[attempt.candidate] = condition
        is_wide = attempt.failure is None or health.covers_whole_key(attempt.failure)
        for model in (attempt.model, None) if attempt.failure is None else ((None if is_wide else attempt.model),):
            name = (attempt.provider, attempt.key, model)
            block = health.block_key(self.key_blocks.get(name), attempt.failure, attempt.ended_at, attempt.started_at)
            self.key_blocks.pop(name, None)
            if block is not None:
                self.key_blocks[name] = block

    def block(self, provider: str, key: str, kind: Kind, until: float, model: str | None = None) -> None:
        self.key_blocks[provider, key, model] = KeyBlock(until=until, failure=failure(kind))

    def open_breaker(self, candidate_id: str, until: float) -> None:
        self.conditions[candidate_id] = Condition(health.LIMITS.failures, 1, until)


def attempt(step: Try, outcome: Failure | None, now: float, duration_s: float = 0.01) -> PastAttempt:
    item = step.choice.candidate
    name = item.endpoint.name
    return PastAttempt(item.id, name, item.model, step.key.name, now, now + duration_s, failure=outcome)


class Trace(Struct):
    """The execution of a plan: every step with its time, and the attempts."""

    steps: list[tuple[float, Step]]
    history: list[PastAttempt]
    now: float

    @property
    def tries(self) -> list[Try]:
        return [step for _, step in self.steps if isinstance(step, Try)]

    @property
    def waits(self) -> list[Await]:
        return [step for _, step in self.steps if isinstance(step, Await)]

    @property
    def attempted(self) -> list[tuple[str, str]]:
        """The candidate and key of each attempt, in order."""
        return [(item.candidate, item.key) for item in self.history]

    @property
    def end(self) -> GiveUp:
        """The final `GiveUp`. Raise `AssertionError` if the plan succeeded."""
        step = self.steps[-1][1]
        assert isinstance(step, GiveUp)
        return step

    @property
    def has_succeeded(self) -> bool:
        return bool(self.history) and self.history[-1].failure is None


Answer = Callable[[Try], Failure | None]


def answers(*outcomes: Failure | Kind | None) -> Answer:
    """Return a function that gives these outcomes in turn; the last one repeats."""
    script: Iterator[Failure | Kind | None] = iter(outcomes)
    last: Failure | Kind | None = None

    def answer(step: Try) -> Failure | None:
        nonlocal last
        last = next(script, last)
        return failure(last) if isinstance(last, Kind) else last

    return answer


def step_after(
    plan: Plan,
    history: Sequence[PastAttempt],
    view: View,
    now: float,
    due: tuple[Choice, ProviderKey] | None = None,
) -> Step:
    """Return the next step after these attempts, while none is in progress."""
    return next_step(plan, Progress(tuple(history), due=due), view, now)


def drive(plan: Plan, view: FakeView, answer: Answer, now: float = NOW, duration_s: float = 0.01) -> Trace:
    """Run the steps of a plan on a virtual clock until it ends. An attempt takes `duration_s`, or less if the step
    allows less."""
    trace = Trace([], [], now)
    due = None
    for _ in range(10_000):
        step = step_after(plan, trace.history, view, trace.now, due)
        due = None
        trace.steps.append((trace.now, step))
        if isinstance(step, GiveUp):
            return trace
        if isinstance(step, Await):
            assert step.delay_s > 0
            trace.now += step.delay_s
            due = step.then
            continue
        assert isinstance(step, Try)
        view.begin(step, trace.history, trace.now)
        done = attempt(step, answer(step), trace.now, min(duration_s, step.timeout_s))
        trace.history.append(done)
        trace.now = done.ended_at
        view.finish(done)
        if done.failure is None:
            return trace
    raise AssertionError("the plan does not end")


def plan_for(call: Call, view: FakeView, rng: ScriptedRandom | None = None, now: float = NOW) -> Plan:
    """Return the plan for a call that must have one."""
    decision = decide(Facts(call), view, rng or ScriptedRandom(0.0), now)
    assert isinstance(decision, Plan), decision.message
    return decision


def is_of_provider(attempt_: PastAttempt) -> bool:
    return attempt_.failure is not None and attempt_.failure.kind.fault is Fault.PROVIDER


DEFAULT_FAILOVER = Failover()


def snapshot_of(
    *endpoints: Endpoint,
    fallbacks: int = 0,
    max_attempts: int = 5,
    queue_s: float = 5.0,
    failover: Failover = DEFAULT_FAILOVER,
) -> Snapshot:
    """Build a configuration in which the public name `chat` has model `m` at each provider. The last `fallbacks`
    providers are fallbacks."""
    count = len(endpoints) - fallbacks
    return snapshot(
        endpoints,
        [candidate(item, "m") for item in endpoints[:count]],
        [candidate(item, "m", provenance="fallback") for item in endpoints[count:]],
        max_attempts=max_attempts,
        queue_s=queue_s,
        failover=failover,
    )
