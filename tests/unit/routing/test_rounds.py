"""Steps beside attempts in progress, and rounds in which limits have no room for some candidates."""

import pytest
from msgspec.structs import replace

from fakes.routing import NOW, FakeView, attempt, call, endpoint, failure, plan_for, snapshot_of
from pointsman.domain.plans import Await, Exclusion, GiveUp, Hedge, HedgeTerms, NextRound, Plan, Progress, Step, Try
from pointsman.domain.snapshots import Hedging
from pointsman.domain.verdicts import Reason, Verdict
from pointsman.routing.failover import ROOM_S, next_step

A, B, C = (endpoint(name) for name in "abc")
AFTER_TWO = Hedging(after_s=2.0)
TWO_SECONDS = HedgeTerms(AFTER_TWO, None, 0.0)


class Running:
    """An attempt in progress since `NOW`."""

    started_at = NOW

    def __init__(self, step: Try, *, has_content: bool = False) -> None:
        self.step = step
        self.has_content = has_content


def step_beside(plan: Plan, view: FakeView, now: float, *, has_content: bool = False, count: int = 1) -> Step:
    view.hedges.count(AFTER_TWO, "chat", is_rival=False)
    first = next_step(plan, Progress(), view, NOW)
    assert isinstance(first, Try)
    return next_step(plan, Progress(running=[Running(first, has_content=has_content)] * count), view, now)


def test_without_hedging_only_the_attempt_in_progress_is_awaited() -> None:
    view = FakeView(snapshot_of(A, B))
    step = step_beside(plan_for(call(), view), view, NOW + 100)
    assert isinstance(step, Await)
    assert step.delay_s == float("inf")


def test_second_attempt_starts_when_the_first_has_not_committed_in_time() -> None:
    view = FakeView(snapshot_of(A, B))
    plan = replace(plan_for(call(), view), hedging=TWO_SECONDS)
    early, late = step_beside(plan, view, NOW + 0.5), step_beside(plan, view, NOW + 2.0)
    assert isinstance(early, Await)
    assert early.delay_s == 1.5
    assert isinstance(late, Hedge)
    assert late.choice.candidate.endpoint is B


@pytest.mark.parametrize("reason", ["committed", "two", "only_attempt", "only_candidate", "blocked"])
def test_second_attempt_is_not_made_without_need_or_candidate(reason: str) -> None:
    view = FakeView(
        snapshot_of(A)
        if reason == "only_candidate"
        else snapshot_of(A, B, max_attempts=1 if reason == "only_attempt" else 5)
    )
    plan = replace(plan_for(call(), view), hedging=TWO_SECONDS)
    if reason == "blocked":
        view.open_breaker("b/m", NOW + 60)
    step = step_beside(plan, view, NOW + 3, has_content=reason == "committed", count=2 if reason == "two" else 1)
    assert isinstance(step, Await)


def excluded(plan: Plan, index: int, *, may_fit: bool = False, fits_if_shortened: bool = False) -> Exclusion:
    item = plan.choices[index].candidate
    return Exclusion(item, Verdict(item.id, "billing", Reason("over_budget", "no room")), may_fit, fits_if_shortened)


def test_candidate_without_room_is_left_out_of_its_round() -> None:
    view = FakeView(snapshot_of(A, B))
    plan = plan_for(call(), view)
    step = next_step(plan, Progress(excluded=(excluded(plan, 0, may_fit=True),)), view, NOW)
    assert isinstance(step, Try)
    assert step.choice is plan.choices[1]


def test_all_candidates_are_considered_anew_while_room_may_come_free_and_then_for_less() -> None:
    view = FakeView(snapshot_of(A))
    plan = plan_for(call(), view)
    progress = Progress(excluded=(excluded(plan, 0, may_fit=True, fits_if_shortened=True),))
    waiting, shorter = next_step(plan, progress, view, NOW), next_step(plan, progress, view, NOW + ROOM_S)
    assert isinstance(waiting, NextRound)
    assert (waiting.delay_s > 0, waiting.accepts_shorter) == (True, False)
    assert shorter == NextRound(0.0, accepts_shorter=True)
    progress.accepts_shorter = True
    last = next_step(plan, progress, view, NOW + ROOM_S)
    assert isinstance(last, GiveUp)
    assert last.failure.kind.code == "budget_exceeded"


def test_after_a_failure_no_room_is_awaited_but_a_shorter_answer_is_tried() -> None:
    view = FakeView(snapshot_of(A, B))
    plan = plan_for(call(), view)
    first = next_step(plan, Progress(), view, NOW)
    assert isinstance(first, Try)
    history = (attempt(first, failure(), NOW),) * plan.max_attempts
    progress = Progress(history=history, excluded=(excluded(plan, 1, may_fit=True, fits_if_shortened=True),))
    assert next_step(plan, progress, view, NOW + 0.1) == NextRound(0.0, accepts_shorter=True)
    progress.accepts_shorter = True
    assert isinstance(next_step(plan, progress, view, NOW + 0.1), GiveUp)
