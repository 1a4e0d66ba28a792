"""Estimates are kept for a moment under heavy traffic, and only then."""

from random import Random

import pytest
from msgspec import Raw
from msgspec.structs import replace

from fakes.routing import NOW, FakeView, call, endpoint, plan_for, snapshot_of
from pointsman.domain.calls import Call, Facts
from pointsman.domain.plans import Plan
from pointsman.domain.prices import Price, Rates
from pointsman.domain.snapshots import PriceOverride, Pricing
from pointsman.domain.targets import Strategy
from pointsman.money.charges import Answers
from pointsman.routing.costs import expected_costs, lines_of
from pointsman.routing.decide import decide
from pointsman.routing.estimates import HEAVY_S, KEPT_S
from pointsman.routing.paces import Paces, usual_s

CALL = replace(call(), stream=True, size=400)


def view_of(gap_s: float) -> FakeView:
    """Return a view whose requests come at this pace, with two targets that are equally fast."""
    configuration = snapshot_of(endpoint("a"), endpoint("b"))
    view = FakeView(replace(configuration, routing=replace(configuration.routing, strategy=Strategy("adaptive"))))
    rates = {name: Rates(input=rate, output=rate) for name, rate in (("a", 5_000_000), ("b", 5_001_000))}
    overrides = tuple(PriceOverride(model=f"{name}/m", price=Price(rates=one)) for name, one in rates.items())
    view.snapshot = replace(view.snapshot, pricing=Pricing("allow-and-flag", overrides))
    for name in "ab":
        teach(view.paces, plan_for(CALL, view), name, 1.0, NOW)
    for number in range(300):
        view.paces._arrive(CALL.model, NOW - (300 - number) * gap_s)
    return view


def teach(paces: Paces, plan: Plan, name: str, ratio: float, now: float) -> None:
    (item,) = [choice.candidate for choice in plan.choices if choice.candidate.endpoint.name == name]
    for number in range(4):
        tried = paces.started(plan, item, CALL, f"{name}{number}-2", now - ratio * usual_s(CALL))
        paces.content(tried, now)


def plan_at(view: FakeView, now: float, request: Call = CALL, seed: int = 1) -> Plan:
    plan = decide(Facts(request), view, Random(seed), now)
    assert isinstance(plan, Plan)
    return plan


@pytest.mark.parametrize(("gap_s", "is_kept"), [(2 * HEAVY_S, False), (HEAVY_S / 10, True)])
def test_a_slow_answer_counts_at_once_or_after_a_moment(gap_s: float, is_kept: bool) -> None:
    view = view_of(gap_s)
    first = plan_at(view, NOW).choices[0].candidate
    teach(view.paces, plan_at(view, NOW), first.endpoint.name, 9.0, NOW)
    soon, later = (plan_at(view, NOW + after_s).choices[0].candidate for after_s in (0.0, 1.01 * KEPT_S))
    assert (soon.id == first.id) == is_kept
    assert later.id != first.id


def test_each_request_has_its_own_order_by_kept_estimates() -> None:
    view = view_of(HEAVY_S / 10)
    firsts = [plan_at(view, NOW, seed=seed).choices[0].candidate.id for seed in range(100)]
    assert 10 < firsts.count("a/m") < 90, "the noise is drawn for each request"
    view.in_progress = {"a/m": 50}
    assert {plan_at(view, NOW, seed=seed).choices[0].candidate.id for seed in range(20)} == {"b/m"}


def test_records_tell_the_age_of_kept_estimates() -> None:
    view = view_of(HEAVY_S / 10)
    whole, brief = (list(plan_at(view, NOW + after_s).notes) for after_s in (0.0, KEPT_S / 2))
    assert len(whole) == 2
    assert "recent answers" in whole[0]
    (line,) = brief
    assert line == "heavy traffic: ordered by the estimates of 10 ms ago"


def test_changed_configuration_forgets_the_estimates() -> None:
    view = view_of(HEAVY_S / 10)
    plan_at(view, NOW)
    view.paces.keep(["a", "b"])
    assert len(list(plan_at(view, NOW + KEPT_S / 2).notes)) == 2


@pytest.mark.parametrize(
    "request_",
    [
        CALL,
        replace(CALL, size=9_000, max_tokens=7),
        replace(CALL, max_tokens=900, answers=3),
        replace(CALL, fields={**CALL.fields, "service_tier": Raw(b'"flex"')}),
    ],
)
@pytest.mark.parametrize("is_cached", [False, True])
def test_lines_give_the_costs_of_single_requests(request_: Call, is_cached: bool) -> None:
    view = view_of(1.0)
    candidates = tuple([choice.candidate for choice in plan_for(CALL, view).choices])
    answers = Answers()
    answers.mean, answers.count, answers.cached = 90.0, 10, 0.5 if is_cached else 0.0
    view.answers = {candidates[0].id: answers}
    lines = lines_of(candidates, Facts(CALL), view)
    assert lines.costs(request_) == expected_costs(candidates, Facts(request_), view)
