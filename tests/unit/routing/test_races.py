"""Races: a request finds out how a candidate is while the best one answers it."""

import pytest
from msgspec import Raw
from msgspec.structs import replace

from fakes.money import limit
from fakes.routing import NOW, FakeView, ScriptedRandom, attempt, call, failure
from pointsman.domain import failures
from pointsman.domain.calls import Call, Facts
from pointsman.domain.identity import VirtualKey
from pointsman.domain.plans import Await, Hedge, Plan, Progress, Race, Step, Try
from pointsman.domain.snapshots import Hedging, Racing
from pointsman.routing.decide import decide, decide_copy
from pointsman.routing.explain import as_data, as_lines
from pointsman.routing.failover import next_step
from pointsman.routing.health import RACE_S, Condition, KeyBlock
from pointsman.routing.hedging import LATER as LATER_BY
from unit.routing.test_adaptive import EVEN, STREAM, UNIT_S, teach, view_of

RACING = Racing(share=0.05)
LATER = NOW + 10  # A had no answer for so long that it is probed
ACTING = {"tools": Raw(b'[{"type":"web_search"}]')}


class Running:
    """An attempt in progress since `LATER`."""

    started_at = LATER

    def __init__(self, step: Try, *, has_content: bool = False) -> None:
        self.step = step
        self.has_content = has_content


def suspecting(count: int = 3, *, hedging: Hedging | None = None, races: int = 1) -> FakeView:
    """Return a view in which A was the best until it became slow. B is the best now, then C."""
    view = view_of(count)
    routing = replace(view.snapshot.routing, racing=RACING, hedging=hedging)
    view.snapshot = replace(view.snapshot, routing=routing)
    for name, ratio in zip("abc"[:count], (0.8, 1.2, 1.5), strict=False):
        teach(view, name, *[ratio] * 60)
    teach(view, "a", *[5.0] * 8)
    view.hedges.count(RACING, "chat", is_rival=False)  # the first one is free
    for _ in range(1 - races):
        view.hedges.count(RACING, "chat", is_rival=True)
    return view


def plan_of(view: FakeView, request: Call = STREAM, key: VirtualKey | None = None) -> Plan:
    plan = decide(Facts(request, key), view, EVEN, LATER)
    assert isinstance(plan, Plan)
    return plan


def order(plan: Plan) -> str:
    return "".join(choice.candidate.endpoint.name for choice in plan.choices)


def first_of(plan: Plan, view: FakeView) -> Try:
    step = next_step(plan, Progress(), view, LATER)
    assert type(step) is Try
    return step


def beside(plan: Plan, view: FakeView, now: float = LATER) -> Step:
    """Return the step beside the first attempt."""
    return next_step(plan, Progress(running=[Running(first_of(plan, view))]), view, now)


def test_best_candidate_serves_while_the_probe_runs_beside_it() -> None:
    view = suspecting()
    plan = plan_of(view)
    assert (order(plan), plan.probe) == ("bca", "a/m")
    assert first_of(plan, view).choice.candidate.id == "b/m"
    rival = beside(plan, view)
    assert isinstance(rival, Race)
    assert rival.choice.candidate.id == "a/m"
    assert not rival.is_repeat
    assert plan.hedging is not None
    assert plan.hedging.race_s == pytest.approx(max(0.5, 3 * 1.2 * UNIT_S), rel=0.2)


def test_blocked_target_is_raced_before_its_block_ends() -> None:
    view = suspecting()
    blocked = Condition(5, 4, LATER + 10, failed_at=LATER - RACE_S)
    view.conditions["a/m"] = blocked
    plan = plan_of(view)
    assert (order(plan), plan.probe) == ("bca", "a/m")
    assert isinstance(beside(plan, view), Race)
    view.conditions["a/m"] = replace(blocked, failed_at=LATER - 1)
    assert not plan_of(view).probe


def test_blocked_target_is_not_tried_without_a_race() -> None:
    view = suspecting(races=0)
    view.conditions["a/m"] = Condition(5, 4, LATER + 10, failed_at=LATER - RACE_S)
    plan = plan_of(view)
    assert (order(plan), plan.probe) == ("bca", "")


def test_blocked_target_without_headroom_is_left_alone() -> None:
    view = suspecting()
    view.conditions["a/m"] = Condition(5, 4, LATER + 10, failed_at=LATER - RACE_S)
    view.key_blocks["a", "other", "x"] = KeyBlock(
        until=LATER, failure=failure(failures.UPSTREAM_RATE_LIMITED), since=LATER - 1
    )
    plan = plan_of(view)
    assert (order(plan), plan.probe) == ("bca", "")
    assert isinstance(beside(plan, view), Await)


def test_race_keeps_the_limit_of_attempts_in_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    view = suspecting()
    view.conditions["a/m"] = Condition(5, 4, LATER + 10, failed_at=LATER - RACE_S)
    monkeypatch.setattr(type(view), "most_in_progress", lambda _, item: 1 if item.id == "a/m" else None)
    assert plan_of(view).probe == "a/m"
    view.in_progress["a/m"] = 1
    assert plan_of(view).probe == ""


def test_race_has_one_rival() -> None:
    view = suspecting()
    plan = plan_of(view)
    both = [Running(first_of(plan, view)), Running(Race(*(plan.choices[-1], plan.choices[-1].keys[0], 1.0)))]
    assert isinstance(next_step(plan, Progress(running=both), view, LATER), Await)
    lost = attempt(both[1].step, failure(failures.SUPERSEDED), LATER)
    after = Progress(history=(lost,), running=both[:1])
    assert isinstance(next_step(plan, after, view, LATER + 1), Await), "its loss is no reason for another one"


def test_without_races_the_request_itself_is_the_probe() -> None:
    view = suspecting()
    view.snapshot = replace(view.snapshot, routing=replace(view.snapshot.routing, racing=None))
    plan = plan_of(view)
    assert (order(plan), plan.probe, plan.hedging) == ("abc", "a/m", None)
    assert plan.patience["a/m"] < 1.5


@pytest.mark.parametrize(
    "request_",
    [
        replace(STREAM, fields=ACTING),
        replace(STREAM, fields={"store": Raw(b"true")}),
    ],
)
def test_request_that_may_not_be_sent_twice_is_the_probe_itself(request_: Call) -> None:
    view = suspecting()
    plan = plan_of(view, request_)
    assert (order(plan)[0], plan.probe, plan.hedging) == ("a", "a/m", None)


def test_request_waits_for_nobody_if_the_share_of_races_is_used() -> None:
    view = suspecting(races=0)
    plan = plan_of(view)
    assert (order(plan), plan.probe) == ("bca", "")
    assert isinstance(beside(plan, view), Await)
    for _ in range(20):
        view.hedges.count(RACING, "chat", is_rival=False)
    assert plan_of(view).probe == "a/m", "the requests have earned another one"


def test_candidate_under_pressure_is_not_raced() -> None:
    view = suspecting()
    limited = failure(failures.UPSTREAM_RATE_LIMITED)
    view.key_blocks["a", "other", "x"] = KeyBlock(until=LATER, failure=limited, since=LATER - 5)
    assert order(plan_of(view))[0] == "a", "the request is the probe"
    budget = limit("requests", 100)
    view.key_blocks.clear()
    for used, first in ((60, "b"), (80, "a")):
        view.amounts[budget.counter] = used
        assert order(plan_of(view, key=VirtualKey(name="me", digest=b"", limits=(budget,))))[0] == first


def test_race_can_be_the_trial_of_a_candidate_that_failed() -> None:
    view = suspecting()
    view.conditions["a/m"] = Condition(3, 1, blocked_until=LATER - 1)
    assert isinstance(beside(plan_of(view), view), Race)
    view.conditions["a/m"] = Condition(3, 1, blocked_until=LATER + 1, failed_at=LATER)
    plan = plan_of(view)
    assert (order(plan)[-1], plan.probe) == ("a", ""), "its breaker is open"


def test_probe_that_became_unusable_since_the_decision_is_not_started() -> None:
    view = suspecting()
    plan = plan_of(view)
    view.conditions["a/m"] = Condition(3, 1, blocked_until=LATER + 1, failed_at=LATER)
    assert isinstance(beside(plan, view), Await)


def test_successor_joins_the_race_if_the_best_candidate_fails() -> None:
    """The client does not wait for the probe alone, which may never answer."""
    view = suspecting()
    plan = plan_of(view)
    first, rival = first_of(plan, view), beside(plan, view)
    assert isinstance(rival, Race)
    failed = attempt(first, failure(), LATER + 0.1)
    step = next_step(plan, Progress(history=(failed,), running=[Running(rival)]), view, LATER + 0.1)
    assert isinstance(step, Try)
    assert not isinstance(step, Hedge)
    assert step.choice.candidate.id == "c/m"


def test_slow_attempts_are_hedged_in_proportion_to_the_length_of_the_request() -> None:
    hedging = Hedging(at_least_s=0.01)
    view = suspecting(hedging=hedging, races=0)
    view.hedges.count(hedging, "chat", is_rival=False)
    delays = []
    for size in (400, 400_000):
        plan = plan_of(view, replace(STREAM, size=size))
        step = beside(plan, view)
        assert isinstance(step, Await)
        delays.append(step.delay_s)
        assert isinstance(beside(plan, view, LATER + step.delay_s + 0.001), Hedge)
    pace = view.paces.find(plan.choices[0].candidate, "chat", stream=True)
    assert pace is not None
    assert delays[0] == pytest.approx(LATER_BY * pace.usual(1.0) * pace.spread * UNIT_S)
    assert delays[1] > 10 * delays[0]


def test_copy_of_a_mirror_is_no_race() -> None:
    plan = decide_copy(Facts(STREAM), suspecting(), EVEN, LATER)
    assert isinstance(plan, Plan)
    assert plan.hedging is None


def test_explanation_tells_of_the_race() -> None:
    view = suspecting()
    plan = plan_of(view)
    lines = as_lines(plan, LATER)
    assert "   a/m gets the request at once beside the best one, to find out how it is now" in lines
    assert as_data(plan, LATER)["race"] == {"share": 0.05, "probe": "a/m"}
    view.hedges.count(RACING, "chat", is_rival=True)
    idle = plan_of(view)
    assert (
        "   a target to find out about gets the request beside the best one, for at most 5 % of the requests"
        in as_lines(idle, LATER)
    )
    assert as_data(idle, LATER)["race"] == {"share": 0.05, "probe": None}


def test_other_strategies_have_no_races() -> None:
    view = view_of(2, "priority")
    view.snapshot = replace(view.snapshot, routing=replace(view.snapshot.routing, racing=RACING))
    view.hedges.count(RACING, "chat", is_rival=False)
    plan = decide(Facts(call()), view, ScriptedRandom(0.5), NOW)
    assert isinstance(plan, Plan)
    assert plan.probe == ""
    assert plan.hedging is None, "explanations would name races"
    step = next_step(plan, Progress(), view, NOW)
    assert isinstance(step, Try)
