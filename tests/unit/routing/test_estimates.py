"""Estimates, and a few orders by them, are kept for a moment under heavy traffic, and only then."""

from random import Random

import pytest
from msgspec import Raw
from msgspec.structs import replace

from fakes.routing import NOW, FakeView, call, endpoint, plan_for, snapshot_of
from pointsman.domain.calls import Call, Facts
from pointsman.domain.identity import VirtualKey
from pointsman.domain.plans import Plan
from pointsman.domain.prices import Price, Rates
from pointsman.domain.snapshots import PriceOverride, Pricing
from pointsman.domain.targets import Strategy
from pointsman.routing.decide import decide
from pointsman.routing.estimates import HEAVY_S, KEPT_S
from pointsman.routing.paces import Paces, usual_s
from pointsman.routing.strategies.adaptive import FEW_TOKENS, KEPT
from pointsman.wire.prefixes import LEAST_BYTES

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


def plan_at(view: FakeView, now: float, request: Call = CALL, seed: int = 1, key: VirtualKey | None = None) -> Plan:
    plan = decide(Facts(request, key), view, Random(seed), now)
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


def test_similar_requests_share_a_few_orders_under_heavy_traffic() -> None:
    view = view_of(HEAVY_S / 10)
    plans = [plan_at(view, NOW, seed=seed) for seed in range(100)]
    assert ["recent answers" in next(iter(plan.notes)) for plan in plans] == [True] * KEPT + [False] * (100 - KEPT)
    (note,) = plans[-1].notes
    assert note.startswith("heavy traffic: in the order of a similar request")
    orders = {tuple(choice.candidate.id for choice in plan.choices) for plan in plans[:KEPT]}
    assert {tuple(choice.candidate.id for choice in plan.choices) for plan in plans[KEPT:]} == orders


def test_request_apart_from_others_has_an_order_of_its_own() -> None:
    """It is by the estimates of a moment ago, but by its own cost, length and cache, and the load of this moment."""
    for request in (
        replace(CALL, head=replace(CALL.head, session="s-1")),
        replace(CALL, size=LEAST_BYTES),
        replace(CALL, fields={"service_tier": Raw(b'"flex"')}),
        replace(CALL, fields={"tools": Raw(b"[]")}),
        replace(CALL, fields={"prompt_cache_key": Raw(b'"k"')}),
    ):
        view = view_of(HEAVY_S / 10)
        plans = [plan_at(view, NOW, request, seed) for seed in range(20)]
        assert all("recent answers" in next(iter(plan.notes)) for plan in plans)
        view.in_progress = {"a/m": 50}
        assert plan_at(view, NOW, request).choices[0].candidate.id == "b/m"


@pytest.mark.parametrize("other", [replace(CALL, size=4 * CALL.size), replace(CALL, max_tokens=FEW_TOKENS - 1)])
def test_requests_of_other_lengths_have_other_orders(other: Call) -> None:
    view = view_of(HEAVY_S / 10)
    for seed in range(KEPT):
        plan_at(view, NOW, seed=seed)
    assert "recent answers" in next(iter(plan_at(view, NOW, other).notes))


@pytest.mark.parametrize("owner", [None, "virtual_key:one"])
def test_keys_share_orders_unless_prices_have_owners(owner: str | None) -> None:
    view = view_of(HEAVY_S / 10)
    (first, *others) = view.snapshot.pricing.overrides
    view.snapshot = replace(
        view.snapshot, pricing=replace(view.snapshot.pricing, overrides=(first, *others, replace(first, owner=owner)))
    )
    for seed in range(KEPT):
        plan_at(view, NOW, seed=seed, key=VirtualKey(name="one", digest=b"1"))
    note = next(iter(plan_at(view, NOW, key=VirtualKey(name="two", digest=b"2")).notes))
    assert ("recent answers" in note) == (owner is not None)


@pytest.mark.parametrize("change", ["time", "configuration"])
def test_kept_estimates_are_forgotten(change: str) -> None:
    view = view_of(HEAVY_S / 10)
    for seed in range(KEPT):
        plan_at(view, NOW, seed=seed)
    if change == "configuration":
        view.paces.keep(["a", "b"])
    plan = plan_at(view, NOW + (1.01 * KEPT_S if change == "time" else 0.0))
    assert "recent answers" in next(iter(plan.notes))
