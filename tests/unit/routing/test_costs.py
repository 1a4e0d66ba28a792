"""Expected costs in decisions: the strategies `cheapest` and `weighted`, ceilings, and their explanations."""

import random
from collections import Counter

import pytest
from msgspec import Struct
from msgspec.structs import replace

from fakes.routing import NOW, FakeView, endpoint, plan_for, snapshot
from fakes.routing import call as call_of
from pointsman.domain.batches import BatchWork, ModelWork
from pointsman.domain.calls import Call, Facts
from pointsman.domain.failures import MAX_COST_EXCEEDED, Failure
from pointsman.domain.identity import VirtualKey
from pointsman.domain.outcomes import Usage
from pointsman.domain.plans import Plan
from pointsman.domain.prices import Price, Rates
from pointsman.domain.snapshots import PriceOverride, Pricing, Routing
from pointsman.domain.targets import Strategy, candidate
from pointsman.money.charges import Answers
from pointsman.routing.costs import expected_costs
from pointsman.routing.decide import decide
from pointsman.routing.explain import as_data, as_lines
from pointsman.routing.readings import Reading
from pointsman.routing.strategies.cheapest import CheapestSettings
from pointsman.routing.strategies.weighted import WeightedSettings

ENDPOINTS = {name: endpoint(name) for name in ("dear", "mid", "low", "odd")}
# The request below costs 8,000, 4,000 and 2,000 nano-dollars at them.
RATES = {"dear": (4_000, 40_000), "mid": (2_000, 20_000), "low": (1_000, 10_000)}
CALL = replace(call_of(), size=4_000, max_tokens=100)  # 1,000 tokens of prompt


def view_of(
    strategy: str,
    settings: Struct | None,
    *names: str,
    fallbacks: tuple[str, ...] = (),
    weights: tuple[float, ...] = (),
) -> FakeView:
    targets = [
        candidate(ENDPOINTS[name], "m", weight) for name, weight in zip(names, weights or (1.0,) * 9, strict=False)
    ]
    spare = [candidate(ENDPOINTS[name], "m", provenance="fallback") for name in fallbacks]
    overrides = [
        PriceOverride(model=f"{name}/m", price=Price(Rates(input=low, output=high)))
        for name, (low, high) in RATES.items()
    ]
    made = replace(
        snapshot(list(ENDPOINTS.values()), targets, spare),
        pricing=Pricing(overrides=tuple(overrides)),
        routing=Routing(strategy=Strategy(strategy, settings)),
    )
    return FakeView(made)


def order(view: FakeView, call: Call = CALL) -> list[str]:
    return [choice.candidate.endpoint.name for choice in plan_for(call, view).choices]


def test_cheapest_serves_first_and_an_unknown_price_last() -> None:
    assert order(view_of("cheapest", None, "odd", "dear", "low", "mid")) == ["low", "mid", "dear", "odd"]


def test_equal_costs_follow_by_weight_then_in_the_order_of_the_configuration() -> None:
    view = view_of("cheapest", None, "dear", "mid", "low", weights=(1, 1, 2))
    prices = tuple([replace(one, model="*/m") for one in view.snapshot.pricing.overrides[:1]])
    view.snapshot = replace(view.snapshot, pricing=Pricing(overrides=prices))
    assert order(view) == ["low", "dear", "mid"]


def test_expected_answers_decide_between_input_and_output_prices() -> None:
    view = view_of("cheapest", None, "mid", "low")
    assert order(view, replace(CALL, max_tokens=None)) == ["low", "mid"]
    long = view.answers["low/m"] = Answers()
    short = view.answers["mid/m"] = Answers()
    for _ in range(16):
        long.add(Usage(10, 4_000))
        short.add(Usage(10, 20))
    assert order(view, replace(CALL, max_tokens=None)) == ["mid", "low"], "low gives much longer answers"
    assert order(view) == ["low", "mid"], "unless the request bounds them"


def test_price_of_a_virtual_key_applies_to_its_requests_alone() -> None:
    view = view_of("cheapest", None, "low", "mid")
    own = PriceOverride(model="mid/m", owner="virtual_key:vip", price=Price(Rates(input=0, output=0)))
    view.snapshot = replace(view.snapshot, pricing=Pricing(overrides=(*view.snapshot.pricing.overrides, own)))
    for key, first in ((VirtualKey(name="vip", digest=b""), "mid"), (VirtualKey(name="me", digest=b""), "low")):
        plan = decide(Facts(CALL, key), view, random.Random(1), NOW)
        assert isinstance(plan, Plan)
        assert plan.choices[0].candidate.endpoint.name == first


def test_slow_targets_come_after_the_others() -> None:
    view = view_of("cheapest", CheapestSettings(max_ttft_s=2), "dear", "mid", "low")
    assert order(view) == ["low", "mid", "dear"], "unknown times pass"
    view.readings = {"low/m": Reading(NOW, 1, content_s=2.5), "mid/m": Reading(NOW, 1, content_s=2.0)}
    assert order(view) == ["mid", "dear", "low"]
    assert list(plan_for(CALL, view).notes) == [
        "mid/m: expected cost $0.000004",
        "dear/m: expected cost $0.000008",
        "low/m: expected cost $0.000002, but its first content takes 2.5 s, more than max_ttft_s of 2 s",
    ]


def test_notes_show_expected_costs_as_text_and_as_data() -> None:
    plan = plan_for(CALL, view_of("cheapest", None, "odd", "low"))
    notes = ["low/m: expected cost $0.000002", "odd/m: unknown price; set it in pricing.overrides"]
    assert as_data(plan, NOW)["notes"] == notes
    assert [line.strip() for line in as_lines(plan, NOW)[1:3]] == notes


CEILINGS = [
    (CheapestSettings(max_usd=0.000004), CALL, "max_usd of the strategy"),
    (None, replace(CALL, head=replace(CALL.head, max_nano=4_000)), "the header x-pointsman-max-usd"),
]


@pytest.mark.parametrize(("settings", "call", "source"), CEILINGS)
def test_candidates_above_the_ceiling_are_left_out_with_the_reason(
    settings: CheapestSettings | None, call: Call, source: str
) -> None:
    view = view_of("cheapest", settings, "odd", "dear", "mid", fallbacks=("low", "dear"))
    plan = plan_for(call, view)
    assert [choice.candidate.endpoint.name for choice in plan.choices] == ["mid", "low"]
    messages = {verdict.candidate: verdict.reason.message for verdict in plan.verdicts}
    most = f"more than the $0.000004 that {source} allows"
    assert messages == {
        "dear/m": f"this request is expected to cost $0.000008, {most}",
        "odd/m": f"its price is unknown, so it may cost {most}; set the price in pricing.overrides",
    }
    assert {(verdict.policy, verdict.reason.code) for verdict in plan.verdicts} == {("max_cost", "above_max_cost")}


def test_lower_ceiling_holds() -> None:
    view = view_of("cheapest", CheapestSettings(max_usd=0.000004), "dear", "mid", "low")
    for nano, names in ((8_000, ["low", "mid"]), (2_000, ["low"])):
        assert order(view, replace(CALL, head=replace(CALL.head, max_nano=nano))) == names


@pytest.mark.parametrize("strategy", ["priority", "weighted", "cheapest"])
def test_request_that_no_candidate_can_serve_within_its_ceiling_is_rejected(strategy: str) -> None:
    call = replace(CALL, head=replace(CALL.head, max_nano=1_999))
    found = decide(Facts(call), view_of(strategy, None, "low", fallbacks=("mid",)), random.Random(1), NOW)
    assert isinstance(found, Failure)
    assert (found.kind, found.kind.status) == (MAX_COST_EXCEEDED, 402)
    assert (
        "no target for model 'chat' is cheap enough: low/m: this request is expected to cost $0.000002" in found.message
    )


def test_ceiling_keeps_the_objections_to_other_candidates() -> None:
    view = view_of("priority", None, "low", "mid", "dear", weights=(0, 1, 1))
    view.open_breaker("mid/m", NOW + 5)
    plan = plan_for(replace(CALL, head=replace(CALL.head, max_nano=4_000)), view)
    assert [choice.candidate.endpoint.name for choice in plan.choices] == ["mid"], "as the last resort"
    codes = {verdict.candidate: verdict.reason.code for verdict in plan.verdicts}
    assert codes == {"low/m": "drained", "mid/m": "breaker_open", "dear/m": "above_max_cost"}


@pytest.mark.parametrize(("exponent", "share"), [(1.0, 2 / 3), (2.0, 4 / 5), (0.0, 1 / 2)])
def test_weights_blend_with_costs(exponent: float, share: float) -> None:
    view, rng = view_of("weighted", WeightedSettings(cost=exponent), "mid", "low"), random.Random(7)
    drawn: Counter[str] = Counter()
    for _ in range(4_000):
        plan = decide(Facts(CALL), view, rng, NOW)
        assert isinstance(plan, Plan)
        drawn[plan.choices[0].candidate.endpoint.name] += 1
    assert drawn["low"] / 4_000 == pytest.approx(share, abs=0.03)


def test_blended_weights_are_noted() -> None:
    plan = plan_for(CALL, view_of("weighted", WeightedSettings(cost=1), "mid", "low", weights=(3, 1)))
    assert list(plan.notes) == [
        "mid/m: expected cost $0.000004, weight 1.5 of 3",
        "low/m: expected cost $0.000002, weight 1 of 1",
    ]


def test_batch_is_expected_to_cost_the_most_of_its_lines() -> None:
    model = ModelWork("m", lines=2, tokens_in=100, tokens_out=200)
    work = BatchWork(endpoint="/v1/chat/completions", models=(model,))
    batch = replace(call_of("", "batch"), batch=work)
    view = view_of("cheapest", None, "dear", "low", "odd")
    items = [candidate(ENDPOINTS[name], "") for name in ("dear", "low", "odd")]
    dear, low, odd = expected_costs(items, Facts(batch), view)
    assert (dear, low, odd) == (400 + 8_000 + 2, 100 + 2_000 + 2, None)
