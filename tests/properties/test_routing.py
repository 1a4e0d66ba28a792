"""Rules for every configuration, every state and every sequence of failures."""

import random
from collections.abc import Sequence
from itertools import cycle, pairwise

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from fakes.routing import NOW, POLICIES, FakeView, Trace, call, drive, endpoint, is_of_provider, provider_key, snapshot
from pointsman.domain import failures
from pointsman.domain.calls import Call, Facts
from pointsman.domain.failures import Failure, Fault, Kind
from pointsman.domain.operations import OPERATIONS, Operation
from pointsman.domain.outcomes import PastAttempt
from pointsman.domain.plans import Await, Plan, Try
from pointsman.domain.quotas import Allowance, Quota
from pointsman.domain.snapshots import FALLBACK_CAUSES, Snapshot
from pointsman.domain.targets import Candidate, Endpoint, Provenance, candidate
from pointsman.routing.candidates import find_candidates
from pointsman.routing.decide import decide
from pointsman.routing.failover import LACKING, NEVER_SENT, is_repeat
from pointsman.routing.fallbacks import cause_of, causes_for, is_general
from pointsman.routing.health import LIMITS, Condition, block_of
from pointsman.routing.router import router_of
from pointsman.routing.same_target import LONGEST_PAUSE_S
from pointsman.routing.weights import Draw

NAMES = "abcd"
WEIGHTS = st.one_of(st.just(0.0), st.floats(1e-300, 1e300), st.sampled_from([1.0, 20.0, 80.0]))
ATTEMPT_KINDS = [kind for kind in failures.KINDS.values() if kind.fault is not Fault.GATEWAY]
COMMON = [
    failures.UPSTREAM_ERROR,
    failures.UPSTREAM_RATE_LIMITED,
    failures.CREDENTIAL_REJECTED,
    failures.CONNECT_FAILED,
]


@st.composite
def endpoints(draw: st.DrawFn, name: str) -> Endpoint:
    patterns = st.sampled_from([(), ("m*",), ("n",)])
    keys = [
        provider_key(f"k{number}", draw(st.sampled_from([0.0, 1.0, 3.0])), draw(patterns))
        for number in range(draw(st.integers(1, 3)))
    ]
    choices: list[frozenset[Operation]] = [frozenset(OPERATIONS), frozenset({"chat"})]
    operations = draw(st.sampled_from(choices))
    return endpoint(name, *keys, operations=operations)


@st.composite
def configurations(draw: st.DrawFn) -> Snapshot:
    built = [draw(endpoints(name)) for name in NAMES[: draw(st.integers(1, 4))]]

    def some(provenance: Provenance, least: int) -> list[Candidate]:
        pairs = draw(st.lists(st.tuples(st.sampled_from(built), st.sampled_from("mn"), WEIGHTS), min_size=least))
        return [candidate(item, model, weight, None, provenance) for item, model, weight in pairs[:6]]

    causes = st.frozensets(st.sampled_from(FALLBACK_CAUSES), max_size=2)
    return snapshot(
        built,
        [replace(item, after=draw(causes)) for item in some("target", 1)],
        [replace(item, after=draw(causes)) for item in some("fallback", 0)],
        strategy=draw(st.sampled_from(["priority", "weighted"])),
        max_attempts=draw(st.integers(1, 8)),
        queue_s=draw(st.sampled_from([0.0, 2.0, 5.0])),
        commit_s=draw(st.sampled_from([1.0, 30.0, 600.0])),
    )


@st.composite
def views(draw: st.DrawFn) -> FakeView:
    view = FakeView(draw(configurations()), tokens=draw(st.sampled_from([None, 0, 1, 3])))
    for name in view.snapshot.endpoints:
        for model in "mn":
            if draw(st.booleans()):
                until = NOW + draw(st.sampled_from([-50.0, -1.0, 1.0, 50.0]))
                trial = NOW + draw(st.sampled_from([-1.0, 5.0]))
                view.conditions[f"{name}/{model}"] = Condition(
                    draw(st.integers(1, LIMITS.failures + 2)), 1, until, trial
                )
        if draw(st.booleans()):
            kind = draw(st.sampled_from([failures.UPSTREAM_RATE_LIMITED, failures.CREDENTIAL_REJECTED]))
            view.block(name, "k0", kind, NOW + draw(st.sampled_from([-1.0, 0.5, 3.0, 100.0])))
        if draw(st.booleans()):  # the provider's own limit of a key is near its end
            left, limit = draw(st.sampled_from([0, 1, 5, 60])), draw(st.sampled_from([60, 1_200, 86_400]))
            full_s = draw(st.sampled_from([None, 2.0, 86_400.0]))
            item, key = candidate(view.snapshot.endpoints[name], "m"), draw(st.sampled_from(["k0", "k1"]))
            view.quotas.note(item, key, Quota(Allowance(limit, left, full_s)), NOW, at=NOW)
    return view


ASKED = st.builds(
    call,
    operation=st.sampled_from(["chat", "embedding"]),
    fallbacks=st.sampled_from([(), ("a/m",), ("a/n", "a/m", "a/n"), ("chat",)]),
    provider=st.sampled_from([None, None, None, "a"]),
    stateful=st.booleans(),
)
OUTCOMES = st.tuples(
    st.sampled_from(COMMON) | st.sampled_from(ATTEMPT_KINDS), st.sampled_from([None, 0.0, 0.3, 2.0, 90.0])
)
SCRIPTS = st.tuples(st.lists(OUTCOMES, min_size=1, max_size=8), st.sampled_from([0.0, 0.05, 1.0, 1e9]))
Script = tuple[list[tuple[Kind, float | None]], float]  # kind and Retry-After of each failure; length of an attempt


def decided(facts: Facts, view: FakeView, seed: int = 0) -> Plan | Failure:
    return decide(facts, view, random.Random(seed), NOW)


@given(views(), ASKED)
def test_every_candidate_is_in_the_plan_or_has_its_verdict(view: FakeView, request: Call) -> None:
    facts = Facts(request)
    plan = decided(facts, view)
    found = find_candidates(facts.call, view.snapshot, router_of(view.snapshot).resolve)
    if isinstance(plan, Failure) or isinstance(found, Failure):
        return
    held = {id(choice.candidate) for choice in plan.choices}
    left_out = [item for item in found[0] if id(item) not in held and not _is_resolved(item, plan)]
    refused = [verdict.candidate for verdict in plan.verdicts if not verdict.reason.is_last_resort]
    assert {item.id for item in left_out} == set(refused)  # a target written twice has one verdict
    assert len(plan.verdicts) <= len(found[0])


def _is_resolved(item: Candidate, plan: Plan) -> bool:
    """Fallbacks of the request are built each time, so they are compared by their names, which are unique."""
    return item.provenance == "fallback" and any(choice.candidate.id == item.id for choice in plan.choices)


@given(views(), ASKED)
def test_plan_contains_no_candidate_that_a_policy_rejected(view: FakeView, request: Call) -> None:
    facts = Facts(request)
    plan = decided(facts, view)
    if isinstance(plan, Failure):
        return
    guessed = False
    for choice in plan.choices:
        reasons = [check(choice.candidate, facts, view, NOW) for _, check in POLICIES]
        assert all(reason is None or reason.is_last_resort for reason in reasons)
        assert choice.candidate.weight > 0
        assert choice.keys
        assert all(key.weight > 0 and key.serves_model(choice.candidate.model) for key in choice.keys)
        is_guess = any(reason is not None for reason in reasons)
        assert is_guess or not guessed, "a last resort precedes a healthy candidate"
        guessed = is_guess


@given(views(), ASKED)
def test_fallbacks_come_after_targets(view: FakeView, request: Call) -> None:
    plan = decided(Facts(request), view)
    if isinstance(plan, Plan):
        guessed = {verdict.candidate for verdict in plan.verdicts if verdict.reason.is_last_resort}
        sure = [choice.candidate for choice in plan.choices if choice.candidate.id not in guessed]
        ranks = [item.provenance == "fallback" for item in sure]
        assert ranks == sorted(ranks)


@given(views(), ASKED, st.integers(0, 2**32))
def test_same_seed_gives_the_same_plan(view: FakeView, request: Call, seed: int) -> None:
    facts = Facts(request)

    def outline() -> object:
        plan = decided(facts, view, seed)
        if isinstance(plan, Failure):
            return plan
        rows = [(choice.candidate.id, [key.name for key in choice.keys]) for choice in plan.choices]
        return rows, plan.verdicts, plan.strategy, plan.source, plan.deadline, plan.jitter

    assert outline() == outline()


class Fixed:
    def __init__(self, number: float) -> None:
        self.number = number

    def random(self) -> float:
        return self.number


@st.composite
def weighted(draw: st.DrawFn) -> list[Candidate]:
    weights = draw(st.lists(WEIGHTS, min_size=1, max_size=8))
    return [candidate(endpoint(f"p{number}"), "m", weight) for number, weight in enumerate(weights)]


@given(weighted(), st.floats(0, 1, exclude_max=True))
def test_weighted_order_is_a_drawn_member_then_descending_weights(items: list[Candidate], roll: float) -> None:
    ordered = list(Draw(tuple(items)).order(Fixed(roll)))
    assert sorted(map(id, ordered)) == sorted(map(id, items))
    if any(item.weight for item in items):
        assert ordered[0].weight > 0
        rest = ordered[1:]
        place = {id(item): number for number, item in enumerate(items)}
        for one, other in pairwise(rest):
            assert (-one.weight, place[id(one)]) < (-other.weight, place[id(other)])


@given(weighted(), st.data())
def test_raising_a_weight_never_lowers_its_share(items: list[Candidate], data: st.DataObject) -> None:
    chosen = data.draw(st.integers(0, len(items) - 1))
    raised = list(items)
    raised[chosen] = replace(items[chosen], weight=items[chosen].weight * data.draw(st.floats(1, 10)))
    rolls = [number / 64 for number in range(64)]

    def share(members: list[Candidate]) -> int:
        return sum(Draw(tuple(members)).order(Fixed(roll))[0] is members[chosen] for roll in rolls)

    assert share(raised) >= share(items) - 1  # a grid point at an edge may fall either way


def run(view: FakeView, request: Call, script: Script) -> tuple[Plan, Trace] | None:
    plan = decided(Facts(request), view)
    if isinstance(plan, Failure):
        return None
    outcomes, duration_s = script
    attempts = cycle(outcomes)

    def answer(step: Try) -> Failure:
        kind, retry_after_s = next(attempts)
        return Failure(kind, "scripted", retry_after_s=retry_after_s)

    return plan, drive(plan, view, answer, NOW, duration_s)


@given(views(), ASKED, SCRIPTS)
def test_plan_always_ends_within_its_limits(view: FakeView, request: Call, script: Script) -> None:
    ran = run(view, request, script)
    if ran is None:
        return
    plan, trace = ran
    queue_s = view.snapshot.routing.timeouts.queue_s
    rotations = _rotations(trace)
    assert len(trace.tries) - rotations <= plan.max_attempts
    assert rotations <= plan.max_attempts
    assert trace.now <= plan.deadline + 1e-6
    assert sum(wait.delay_s for wait in trace.waits if "limited" in wait.reason) <= queue_s + 1e-6
    for at, step in trace.steps:
        if isinstance(step, Try):
            assert 0 < step.timeout_s <= plan.deadline - at
        elif isinstance(step, Await):
            assert step.delay_s <= max(queue_s, LONGEST_PAUSE_S * 1.25) + 1e-6
            assert at + step.delay_s < plan.deadline + 1e-6


def _rotations(trace: Trace, upto: int | None = None) -> int:
    """Return attempts with another key of a candidate that only had rejected keys."""
    count = 0
    for number, one in enumerate(trace.history[:upto]):
        before = trace.history[:number]
        is_tried = any(item.candidate == one.candidate for item in before)
        is_new = (one.candidate, one.key) not in trace.attempted[:number]
        count += is_tried and is_new and not is_repeat(one.candidate, before)
    return count


@given(views(), ASKED, SCRIPTS)
def test_each_attempt_is_allowed_after_the_earlier_ones(view: FakeView, request: Call, script: Script) -> None:
    blocked: list[bool] = []
    ran = run(_Recording(view, blocked), request, script)
    if ran is None:
        return
    plan, trace = ran
    names = {choice.candidate.id: choice for choice in plan.choices}
    assert not any(blocked), "a blocked key was used"
    for number, (last, following) in enumerate(pairwise(trace.history), 1):
        assert last.failure is not None
        kind, before = last.failure.kind, trace.history[:number]
        assert kind.fault is not Fault.CLIENT
        assert not plan.pinned or kind in NEVER_SENT
        refusals = {item.failure.kind for item in before if item.failure and item.failure.kind.fault is Fault.REQUEST}
        if refusals:
            covered = plan.routing.failover.fallback_on | plan.declared
            assert kind.fault is not Fault.REQUEST or kind in LACKING or cause_of(kind) in covered
        item = names[following.candidate].candidate
        causes = {cause_of(one.failure.kind) for one in before if one.failure is not None} | plan.occurred
        if refusals - LACKING:  # the failure of a provider without the model does not affect the next one
            assert causes & causes_for(item, plan.routing.failover)
        if item.provenance == "fallback" and not is_general(item, plan.routing.failover) and view.key_blocks == {}:
            assert causes & item.after or view.conditions
        if kind.fault is Fault.PROVIDER and following.provider == last.provider and view.key_blocks == {}:
            asked_before = {item.provider for item in before}
            open_to_all = [choice for choice in plan.choices if choice.candidate.id not in view.conditions]
            if not any(_fault_is(item.failure, Fault.REQUEST) for item in before):
                assert {choice.candidate.endpoint.name for choice in open_to_all} <= asked_before


class _Recording(FakeView):
    """The given view; records for each attempt whether its key was blocked at that moment."""

    def __init__(self, view: FakeView, blocked: list[bool]) -> None:
        super().__init__(view.snapshot, tokens=view.tokens)
        self.conditions, self.key_blocks, self._blocked = view.conditions, view.key_blocks, blocked

    def begin(self, step: Try, history: Sequence[PastAttempt], now: float) -> None:
        block = block_of(self.key_blocks, step.choice.candidate, step.key.name, now)
        self._blocked.append(block is not None and block.retry_at > now)
        super().begin(step, history, now)


@given(views(), ASKED, SCRIPTS)
def test_attempt_leaves_half_of_the_time_to_an_untried_candidate(view: FakeView, request: Call, script: Script) -> None:
    ran = run(view, request, script)
    if ran is None:
        return
    plan, trace = ran
    tried: set[str] = set()
    count = 0
    for at, step in trace.steps:
        if isinstance(step, Try):
            count += 1
            tried.add(step.choice.candidate.id)
            item, failover = step.choice.candidate, plan.routing.failover
            has_untried = any(
                other.id not in tried
                and (
                    other.provenance != "fallback"
                    or (item.provenance == "fallback" and item.after == other.after)
                    or "provider" in causes_for(other, failover)
                )
                for other in [choice.candidate for choice in plan.choices]
            )
            halved = has_untried and count - _rotations(trace, count) < plan.max_attempts and not plan.pinned
            remaining_s = plan.deadline - at
            assert step.timeout_s == (remaining_s / 2 if halved else remaining_s)


@given(views(), ASKED, SCRIPTS)
def test_no_repeat_while_an_untried_candidate_is_free(view: FakeView, request: Call, script: Script) -> None:
    """The budget is endless, so that only the order matters; candidates that rejected the request are excluded."""
    view.tokens = None
    ran = run(view, request, script)
    if ran is None:
        return
    plan, trace = ran
    pairs = {(choice.candidate.id, key.name): choice for choice in plan.choices for key in choice.keys}
    seen: set[tuple[str, str]] = set()
    for number, pair in enumerate(trace.attempted):
        before = trace.history[:number]
        at = trace.history[number].started_at
        if pair in seen:
            refused = {item.candidate for item in before if _fault_is(item.failure, Fault.REQUEST)}
            causes = {cause_of(one.failure.kind) for one in before if one.failure is not None} | plan.occurred
            for other, choice in pairs.items():
                item = choice.candidate
                if refused and (item.id in refused or not causes & causes_for(item, plan.routing.failover)):
                    continue
                if item.provenance == "fallback" and not causes & causes_for(item, plan.routing.failover):
                    continue
                was_blocked = view.key_blocks.get((item.endpoint.name, other[1], None))
                is_mirrored = view.quotas.find(item, other[1]) is not None  # it may have no room
                if other not in seen and was_blocked is None and not is_mirrored and item.id != pair[0]:
                    # its provider failed before, so it may follow in order, after a pause
                    assert any(one.candidate == item.id for one in before if is_of_provider(one)), (other, at)
        seen.add(pair)


def _fault_is(outcome: Failure | None, fault: Fault) -> bool:
    return outcome is not None and outcome.kind.fault is fault


@given(views(), ASKED, SCRIPTS)
def test_retry_budget_is_not_overspent(view: FakeView, request: Call, script: Script) -> None:
    run(view, request, script)
    assert view.tokens is None or view.tokens >= 0
