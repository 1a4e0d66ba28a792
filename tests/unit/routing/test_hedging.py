"""The conditions of a second attempt beside a slow one."""

import pytest
from msgspec import Raw
from msgspec.structs import replace

from fakes.money import limit
from fakes.routing import NOW, FakeView, ScriptedRandom, attempt, call, endpoint, failure, snapshot_of
from pointsman.domain import failures
from pointsman.domain.calls import Call, Facts
from pointsman.domain.failures import Failure, Kind
from pointsman.domain.identity import VirtualKey
from pointsman.domain.limits import Limit
from pointsman.domain.plans import Await, Hedge, HedgeTerms, Plan, Progress, Step, Try
from pointsman.domain.snapshots import Failover, Hedging
from pointsman.routing import health
from pointsman.routing.decide import decide
from pointsman.routing.failover import next_step
from pointsman.routing.health import KeyBlock
from pointsman.routing.hedges import FEWEST
from pointsman.routing.hedging import HEADROOM, PRESSURE_S, has_headroom, may_be_sent_twice

A, B, C = (endpoint(name) for name in "abc")
AFTER = Hedging(after_s=2.0)
UNIX = 1_700_000_000.0


class Running:
    """An attempt in progress since `NOW`."""

    started_at = NOW
    has_content = False

    def __init__(self, step: Try) -> None:
        self.step = step


def view_of(settings: Hedging | None = AFTER, *, rivals: int = 1, count: int = 2) -> FakeView:
    configuration = snapshot_of(*(A, B, C)[:count])
    view = FakeView(replace(configuration, routing=replace(configuration.routing, hedging=settings)))
    for _ in range(rivals):
        if settings is not None:
            view.hedges.count(settings, "chat", is_rival=False)
    return view


def plan_of(view: FakeView, request: Call, limits: tuple[Limit, ...] = ()) -> Plan:
    key = VirtualKey(name="me", digest=b"", limits=limits) if limits else None
    plan = decide(Facts(request, key, UNIX), view, ScriptedRandom(0.0), NOW)
    assert isinstance(plan, Plan)
    return plan


def second_step(
    view: FakeView, now: float = NOW + 2.0, *, request: Call | None = None, limits: tuple[Limit, ...] = ()
) -> Step:
    plan = plan_of(view, request or call(), limits)
    first = next_step(plan, Progress(), view, NOW)
    assert isinstance(first, Try)
    return next_step(plan, Progress(running=[Running(first)]), view, now)


def is_hedged(view: FakeView, **given: object) -> bool:
    return isinstance(second_step(view, **given), Hedge)  # type: ignore[arg-type]


def test_slow_attempt_gets_a_rival_at_the_next_candidate() -> None:
    view = view_of()
    early, late = second_step(view, NOW + 0.5), second_step(view)
    assert isinstance(early, Await)
    assert early.delay_s == 1.5
    assert isinstance(late, Hedge)
    assert late.choice.candidate.id == "b/m"


def test_no_attempt_gets_a_rival_without_a_policy_or_another_candidate() -> None:
    assert not is_hedged(view_of(None))
    assert not is_hedged(view_of(count=1))
    assert plan_of(view_of(count=1), call()).hedging is None


def test_percentile_of_the_slow_candidate_sets_the_delay() -> None:
    settings = Hedging(percentile=90, at_least_s=0.1)
    view = view_of(settings)
    assert not is_hedged(view, now=NOW + 100), "too little is known"
    item = plan_of(view, call()).choices[0].candidate
    for number in range(FEWEST):
        view.hedges.note_commit(item, "chat", number / 10, stream=False)
    assert is_hedged(view, now=NOW + 1.81)
    assert not is_hedged(view, now=NOW + 1.79)
    for _ in range(200):
        view.hedges.note_commit(item, "chat", 0.001, stream=False)
    assert not is_hedged(view, now=NOW + 0.09), "it is never shorter than `at_least_s`"
    assert is_hedged(view, now=NOW + 0.11)


@pytest.mark.parametrize(
    "request_",
    [
        replace(call(), operation="image"),
        replace(call(), operation="file"),
        replace(call(), fields={"tools": Raw(b'[{"type":"web_search"}]')}),
        replace(call(), fields={"tools": Raw(b'[{"type":"mcp","server_url":"https://x.test"}]')}),
        replace(call(), operation="responses", stateful=True, fields={"store": Raw(b"true")}),
    ],
)
def test_request_that_may_act_twice_is_sent_once(request_: Call) -> None:
    assert plan_of(view_of(), request_).hedging is None


@pytest.mark.parametrize(
    "request_",
    [
        replace(call(), fields={"store": Raw(b"true")}),
        replace(call(), operation="responses", stateful=True),
    ],
)
def test_request_that_stores_an_answer_is_sent_once(request_: Call) -> None:
    assert not may_be_sent_twice(request_)
    assert may_be_sent_twice(replace(call(), fields={"store": Raw(b"false")}))


def test_rival_knows_that_the_slow_attempt_is_no_candidate_any_more() -> None:
    """The last candidate has all of the time, as without a rival."""
    view = view_of()
    failover = Failover(first_token_s=0.5)
    view.snapshot = replace(view.snapshot, routing=replace(view.snapshot.routing, failover=failover))
    for stream in (True, False):
        step = second_step(view, request=replace(call(), stream=stream))
        assert isinstance(step, Hedge)
        assert (step.timeout_s, step.head_s, step.content_s) == (598, None, None)
        view.hedges.count(AFTER, "chat", is_rival=False)


def test_rival_counts_in_the_most_attempts() -> None:
    view = view_of(count=3)
    view.snapshot = replace(view.snapshot, routing=replace(view.snapshot.routing, max_attempts=2))
    step = second_step(view)
    assert isinstance(step, Hedge)
    assert step.timeout_s == 598, "no third attempt may follow"


def test_attempt_whose_content_has_come_is_not_slow() -> None:
    """With a buffered stream, content comes long before the commit."""
    view = view_of()
    plan = plan_of(view, call())
    first = next_step(plan, Progress(), view, NOW)
    assert isinstance(first, Try)
    running = Running(first)
    running.has_content = True
    assert isinstance(next_step(plan, Progress(running=[running]), view, NOW + 100), Await)


def test_rival_is_a_candidate_that_failover_would_use() -> None:
    """After a rejection of the request, these are only the fallbacks for it."""
    view = view_of(count=3)
    plan = plan_of(view, call())
    first = next_step(plan, Progress(), view, NOW)
    assert isinstance(first, Try)
    rejected = attempt(first, failure(failures.UPSTREAM_REFUSED), NOW)
    second = Try(plan.choices[1], plan.choices[1].keys[0], 100.0)
    progress = Progress(history=(rejected,), running=[Running(second)])
    assert not isinstance(next_step(plan, progress, view, NOW + 3), Hedge)


def test_limits_of_the_end_user_need_headroom_too() -> None:
    view, own = view_of(), limit("requests", 10)
    terms = HedgeTerms(AFTER, VirtualKey(name="me", digest=b""), 0.0, (own,))
    item = plan_of(view, call()).choices[1].candidate
    assert has_headroom(terms, item, "chat", view, NOW)
    view.amounts[own.counter] = 8
    assert not has_headroom(terms, item, "chat", view, NOW)


def test_request_that_bounds_its_own_cost_is_sent_once() -> None:
    assert may_be_sent_twice(call())
    assert not may_be_sent_twice(replace(call(), head=replace(call().head, max_nano=10**9)))


def test_request_with_tools_of_the_client_is_hedged() -> None:
    tools = Raw(b'[{"type":"function","function":{"name":"f"}}]')
    assert is_hedged(view_of(), request=replace(call(), fields={"tools": tools}))


def test_rivals_need_a_budget() -> None:
    assert not is_hedged(view_of(rivals=0))
    view = view_of()
    view.hedges.count(AFTER, "chat", is_rival=True)
    assert not is_hedged(view)


@pytest.mark.parametrize("kind", [failures.UPSTREAM_ERROR, failures.CONNECT_FAILED])
def test_rival_needs_a_candidate_without_faults(kind: Kind) -> None:
    view = view_of()
    view.conditions["b/m"] = _condition(failure(kind))
    assert not is_hedged(view)


def _condition(cause: Failure) -> health.Condition:
    found = health.observe(None, cause, NOW)
    assert found is not None
    return found


@pytest.mark.parametrize(("since_s", "is_near"), [(PRESSURE_S - 0.1, True), (PRESSURE_S + 0.1, False)])
def test_rival_needs_a_provider_without_a_recent_rate_limit(since_s: float, is_near: bool) -> None:
    view, now = view_of(), NOW + 2.0
    limited = failure(failures.UPSTREAM_RATE_LIMITED)
    view.key_blocks["b", "other", "x"] = KeyBlock(until=now - 1, failure=limited, since=now - since_s)
    assert is_hedged(view) is not is_near


@pytest.mark.parametrize("kind", [failures.UPSTREAM_RATE_LIMITED, failures.CREDENTIAL_REJECTED])
def test_rival_needs_a_free_key(kind: Kind) -> None:
    view = view_of()
    view.block("b", "k1", kind, NOW + 60, model="m")
    assert not is_hedged(view)


@pytest.mark.parametrize(
    ("share", "soft", "is_started"),
    [(1 - HEADROOM, False, True), (1 - HEADROOM + 0.01, False, False), (0.99, True, True), (None, False, False)],
)
def test_rival_needs_headroom_in_each_hard_limit(share: float | None, soft: bool, is_started: bool) -> None:
    view, budget = view_of(), limit("usd", 1000, soft=soft)
    view.amounts[budget.counter] = round(share * 1000) if share is not None else None
    assert is_hedged(view, limits=(budget,)) is is_started


def test_candidate_without_headroom_is_passed_over_for_the_next() -> None:
    view = view_of(count=3)
    view.block("b", "k1", failures.UPSTREAM_RATE_LIMITED, NOW + 60, model="m")
    step = second_step(view)
    assert isinstance(step, Hedge)
    assert step.choice.candidate.id == "c/m"
