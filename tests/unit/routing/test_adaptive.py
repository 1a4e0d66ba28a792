"""The strategies that learn from answers: adaptive, fastest and least-busy."""

from collections.abc import Sequence
from random import Random
from typing import Any

import pytest
from msgspec import Raw
from msgspec.structs import replace

from fakes.routing import NOW, FakeView, ScriptedRandom, call, endpoint, failure, plan_for, snapshot_of, step_after
from pointsman.domain.calls import Call, Facts
from pointsman.domain.failures import Failure
from pointsman.domain.plans import Plan, Try
from pointsman.domain.prices import Price, Rates
from pointsman.domain.snapshots import PriceOverride, Pricing
from pointsman.domain.targets import Strategy
from pointsman.routing.decide import decide
from pointsman.routing.explain import as_lines
from pointsman.routing.paces import usual_s
from pointsman.routing.readings import Reading
from pointsman.routing.strategies.adaptive import AdaptiveSettings

STREAM = replace(call(), stream=True, size=400)
UNIT_S = usual_s(STREAM)
EVEN = ScriptedRandom(0.5)  # the middle of the normal distribution, so there is hardly any noise


def view_of(count: int = 3, strategy: str = "adaptive", **settings: Any) -> FakeView:
    configuration = snapshot_of(*[endpoint(name) for name in "abcdef"[:count]])
    chosen = Strategy(strategy, AdaptiveSettings(**settings) if settings else None)
    return FakeView(replace(configuration, routing=replace(configuration.routing, strategy=chosen)))


def plan_of(view: FakeView, now: float = NOW, request: Call = STREAM, rng: Any = EVEN) -> Plan:
    plan = decide(Facts(request), view, rng, now)
    assert isinstance(plan, Plan)
    return plan


def order_of(view: FakeView, now: float = NOW, **given: Any) -> str:
    return "".join(choice.candidate.endpoint.name for choice in plan_of(view, now, **given).choices)


def teach(view: FakeView, name: str, *ratios: float | Failure, until: float = NOW, plan: Plan | None = None) -> None:
    """Let attempts at a provider end, one in each quarter of a second, the last one at `until`."""
    request = STREAM
    plan = plan or plan_for(request, view)
    (item,) = [choice.candidate for choice in plan.choices if choice.candidate.endpoint.name == name]
    for number, ratio in enumerate(ratios):
        at = until - 0.25 * (len(ratios) - 1 - number)
        took_s = 0.1 if isinstance(ratio, Failure) else ratio * usual_s(request)
        tried = view.paces.started(plan, item, request, f"{name}{number}-1", at - took_s)
        if isinstance(ratio, Failure):
            view.paces.ended(tried, ratio, at, tokens_out=0, content_at=None)
        else:
            view.paces.content(tried, at)


def test_fastest_target_comes_first_and_the_others_follow_by_their_time() -> None:
    view = view_of()
    for name, ratio in (("a", 2.0), ("b", 0.7), ("c", 1.2)):
        teach(view, name, *[ratio] * 20)
    assert order_of(view) == "bca"


def test_engine_that_gets_slower_with_load_keeps_its_place_only_while_it_has_few_attempts() -> None:
    view = view_of(count=2)
    plan = plan_for(STREAM, view)
    items = {choice.candidate.endpoint.name: choice.candidate for choice in plan.choices}
    for number in range(200):
        at, running = NOW - 0.1 * (200 - number), 1 + number % 10
        for name, ratio in (("a", 0.5 + 0.1 * running), ("b", 1.5)):
            took_s = ratio * usual_s(STREAM)
            tried = view.paces.started(plan, items[name], STREAM, f"{name}{number}-1", at - took_s, running=running)
            view.paces.content(tried, at)
    assert order_of(view) == "ab"
    view.in_progress = {"a/m": 12, "b/m": 12}
    assert order_of(view) == "ba"
    assert any("s of delay for others" in note for note in plan_of(view).notes)


def test_each_target_gets_a_first_request() -> None:
    view = view_of()
    teach(view, "b", *[0.5] * 20)
    assert order_of(view)[0] in "ac"
    for name in "ac":
        teach(view, name, 1.0)
    assert order_of(view)[0] == "b"


def test_failures_count_as_time() -> None:
    view = view_of(2)
    teach(view, "a", *[1.0] * 20)
    teach(view, "b", *[1.2] * 20)
    assert order_of(view) == "ab"
    teach(view, "a", *[failure()] * 5)
    assert order_of(view) == "ba"


def test_slower_target_returns_when_its_probe_shows_that_it_is_well_again() -> None:
    view = view_of(2)
    for name, ratio in (("a", 0.8), ("b", 1.2)):
        teach(view, name, *[ratio] * 60)
    teach(view, "a", *[5.0] * 8)
    assert order_of(view) == "ba"
    served = []
    for number in range(80):
        now = NOW + 0.5 * (number + 1)
        plan = plan_of(view, now)
        first = plan.choices[0].candidate.endpoint.name
        served.append(first)
        ratio = 0.8 if first == "a" else 1.2
        teach(view, first, ratio, until=now + ratio * UNIT_S, plan=plan)
    assert "a" in served[:40], "it is probed"
    assert served[-10:] == ["a"] * 10


def test_probe_has_little_patience_and_the_others_much() -> None:
    view = view_of(2)
    for name, ratio in (("a", 0.8), ("b", 1.2)):
        teach(view, name, *[ratio] * 60)
    teach(view, "a", *[5.0] * 8)
    now = NOW + 10
    plan = plan_of(view, now)
    assert [choice.candidate.endpoint.name for choice in plan.choices] == ["a", "b"]
    step = step_after(plan, (), view, now)
    assert isinstance(step, Try)
    assert step.content_s == pytest.approx(max(0.5, 3 * 1.2 * UNIT_S), rel=0.2)
    assert plan.patience["b/m"] >= 4.0
    lines = "\n".join(as_lines(plan, now))
    assert "probed, since it had no answer for a while" in lines
    assert "a/m is tried first, to find out how it is now" in lines


def test_similar_targets_share_the_requests() -> None:
    view, rng = view_of(2), Random(1)
    for name in "ab":
        teach(view, name, *[1.0] * 10)
    first = [order_of(view, rng=rng)[0] for _ in range(200)]
    assert 40 < first.count("a") < 160


def priced(view: FakeView, dollars: Sequence[float]) -> None:
    overrides = tuple(
        PriceOverride(model=f"{name}/m", price=Price(rates=Rates(input=0, output=round(usd * 1e9))))
        for name, usd in zip("abc", dollars, strict=False)
    )
    view.snapshot = replace(view.snapshot, pricing=Pricing("allow-and-flag", overrides))


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"policy": "latency"}, "abc"),
        ({}, "bca"),
        ({"policy": "cheapest-within-slo", "ttft_p95_ms": 4000.0}, "cba"),
        ({"policy": "cheapest-within-slo", "ttft_p95_ms": 1000.0}, "bac"),
        ({"policy": "latency", "ttft_p95_ms": 4000.0}, "abc"),
        ({"ttft_p95_ms": 1000.0}, "bac"),
        ({"ttft_p95_ms": 10.0}, "bca"),
    ],
)
def test_policy_weighs_time_against_cost(settings: dict[str, Any], expected: str) -> None:
    """A is quick and dear, C is slow and cheap."""
    view = view_of(**settings)
    priced(view, (0.05, 0.005, 0.0001))  # for a thousand tokens, and answers have 500
    for name, ratio in (("a", 0.6), ("b", 1.5), ("c", 4.5)):
        teach(view, name, *[ratio] * 30)
    assert order_of(view) == expected


def test_weights_are_priors_of_targets_without_answers() -> None:
    view = view_of(2)
    (a, b) = (choice.candidate for choice in plan_of(view).choices)
    chat = view.snapshot.models["chat"]
    heavy = replace(chat, targets=(replace(a, weight=1.0), replace(b, weight=9.0)))
    view.snapshot = replace(view.snapshot, models={"chat": heavy})
    assert order_of(view) == "ba"


def prompt(text: str) -> Call:
    body = b'[{"role":"user","content":"%b"}]' % (text * 20_000).encode()
    return replace(STREAM, fields={"messages": Raw(body)}, size=len(body))


def send(view: FakeView, name: str, request: Call, *, key: int = 0, cached: int | None = None) -> None:
    """Let a provider serve a request."""
    plan = plan_for(request, view)
    assert plan.prefix is not None
    (item,) = [choice.candidate for choice in plan.choices if choice.candidate.endpoint.name == name]
    tried = view.paces.started(plan, item, request, "s-1", NOW - 1, key=item.keys[key])
    at = NOW - 1 + usual_s(request, cached=tried.cached)
    view.paces.ended(tried, None, at, tokens_out=5, content_at=at, tokens_cached=cached)


def test_prompt_returns_to_the_cache_that_has_it_while_that_is_not_too_slow() -> None:
    view = view_of(2)
    for name, ratio in (("a", 0.9), ("b", 1.0)):
        teach(view, name, *[ratio] * 40)
    assert order_of(view, request=prompt("x")) == "ab"
    send(view, "b", prompt("x"))
    assert order_of(view, request=prompt("x")) == "ba"
    assert order_of(view, request=prompt("y")) == "ab", "another prompt is not there"
    (line,) = [one for one in as_lines(plan_of(view, request=prompt("x")), NOW) if one.startswith("   b/m:")]
    assert "4608 cached tokens expected" in line
    teach(view, "b", *[4.0] * 8)
    assert order_of(view, request=prompt("x")) == "ab", "the cache does not hold a slow target"


def test_cached_tokens_lower_the_cost_where_they_are_charged_less() -> None:
    view = view_of(2)
    overrides = tuple(
        PriceOverride(
            model=f"{name}/m", price=Price(rates=Rates(input=per_token, output=0, cache_read=per_token // 10))
        )
        for name, per_token in (("a", 4_000_000), ("b", 5_000_000))
    )
    view.snapshot = replace(view.snapshot, pricing=Pricing("allow-and-flag", overrides))
    for name in "ab":
        teach(view, name, *[1.0] * 40)
    assert order_of(view, request=prompt("x")) == "ab"
    send(view, "b", prompt("x"), cached=0)
    costs = {one.candidate.id: one.cost_s for one in plan_of(view, request=prompt("x")).notes.scores}  # type: ignore[attr-defined]
    assert costs["b/m"] > costs["a/m"], "it never reported a cached token"
    send(view, "b", prompt("x"), cached=4608)
    costs = {one.candidate.id: one.cost_s for one in plan_of(view, request=prompt("x")).notes.scores}  # type: ignore[attr-defined]
    assert costs["b/m"] < 0.3 * costs["a/m"]


def test_workers_agree_on_the_place_of_a_new_prompt() -> None:
    firsts = []
    for number in range(60):
        request = prompt(f"prompt {number} ")
        orders = set()
        for seed in (1, 2):
            view = view_of(3)
            for name in "abc":
                teach(view, name, *[1.0] * 10)
            orders.add(order_of(view, request=request, rng=Random(seed)))
        assert len(orders) == 1
        firsts.append(orders.pop()[0])
    assert set(firsts) == set("abc")
    unknown = [order_of(view_of(3), request=prompt(f"prompt {number} "), rng=Random(number)) for number in range(60)]
    assert {one[0] for one in unknown} == set("abc")
    assert unknown == [order_of(view_of(3), request=prompt(f"prompt {number} ")) for number in range(60)]


def test_target_of_weight_zero_is_drained() -> None:
    view = view_of(2)
    (a, b) = sorted((choice.candidate for choice in plan_of(view).choices), key=lambda one: one.id)
    chat = view.snapshot.models["chat"]
    drained = replace(chat, targets=(replace(a, weight=0.0), replace(b, weight=0.1)))
    view.snapshot = replace(view.snapshot, models={"chat": drained})
    teach(view, "b", *[9.0] * 20)
    assert order_of(view) == "b"
    assert [verdict.policy for verdict in plan_of(view).verdicts] == ["drained"]


def test_heavier_target_is_expected_to_be_faster_only_until_it_is_known() -> None:
    """A target with a quarter of the weight is expected to take twice as long."""
    view = view_of(2)
    (a, b) = sorted((choice.candidate for choice in plan_of(view).choices), key=lambda one: one.id)
    chat = view.snapshot.models["chat"]
    view.snapshot = replace(
        view.snapshot,
        models={"chat": replace(chat, targets=(replace(a, weight=1.0), replace(b, weight=4.0)))},
    )
    totals = {one.candidate.id: one.total for one in plan_of(view).notes.scores}  # type: ignore[attr-defined]
    assert totals["a/m"] == pytest.approx(2 * totals["b/m"])
    for name, ratio in (("a", 0.9), ("b", 1.0)):
        teach(view, name, *[ratio] * 40)
    assert order_of(view) == "ab"


def test_settings_must_fit_each_other() -> None:
    with pytest.raises(ValueError, match="set ttft_p95_ms"):
        AdaptiveSettings(policy="cheapest-within-slo")


def test_target_whose_answers_vary_much_misses_a_bound_on_the_95th_percentile() -> None:
    """B has a lower mean, but every eighth of its answers takes six times as long."""
    ratios = {"a": [1.0] * 120, "b": ([0.5] * 7 + [3.0]) * 15}
    for bound, expected in ((None, "ba"), (500.0, "ab")):
        view = view_of(2, ttft_p95_ms=bound)
        for name in "ab":
            teach(view, name, *ratios[name])
        assert order_of(view) == expected


def test_bound_of_an_unstreamed_answer_holds_for_its_first_content() -> None:
    whole = replace(STREAM, stream=False)
    view = view_of(2, policy="cheapest-within-slo", ttft_p95_ms=4000.0)
    priced(view, (0.05, 0.0001))
    plan = plan_of(view, request=whole)
    for number in range(20):
        for item in [choice.candidate for choice in plan.choices]:
            ratio = 1.0 if item.endpoint.name == "a" else 1.5
            tried = view.paces.started(plan, item, whole, f"{item.id}{number}-1", NOW - ratio * usual_s(whole, 500))
            view.paces.ended(tried, None, NOW, tokens_out=500, content_at=None)
    assert order_of(view, request=whole) == "ba", "each answer takes ten seconds, but begins in time"


def test_slow_target_is_probed_if_it_is_usually_within_the_bound_and_cheaper() -> None:
    view = view_of(2, policy="cheapest-within-slo", ttft_p95_ms=1000.0)
    priced(view, (0.05, 0.0001))
    for name, ratio in (("a", 0.8), ("b", 1.2)):
        teach(view, name, *[ratio] * 60)
    assert order_of(view) == "ba"
    teach(view, "b", *[6.0] * 8)
    assert order_of(view) == "ab"
    assert order_of(view, NOW + 10) == "ba"
    assert plan_of(view, NOW + 10).probe == "b/m"


def test_unknown_price_counts_as_the_dearest() -> None:
    view = view_of(2)
    priced(view, (0.001,))
    for name, ratio in (("a", 1.0), ("b", 0.9)):
        teach(view, name, *[ratio] * 30)
    assert order_of(view) == "ba"
    view.snapshot = replace(view.snapshot, pricing=Pricing("allow-and-flag", ()))
    priced(view, (0.001, 0.05))
    assert order_of(view) == "ab"


def test_explanation_names_the_terms() -> None:
    view = view_of(2)
    teach(view, "a", *[1.0] * 20)
    lines = as_lines(plan_of(view), NOW)
    (known,) = [line for line in lines if line.startswith("   a/m:")]
    assert "s expected" in known
    assert "s for failures" in known
    assert "recent answers" in known
    assert any("no recent answers" in line for line in lines)


def test_fastest_orders_by_measured_times_and_measures_anew() -> None:
    view = view_of(3, "fastest")
    view.readings = {
        "a/m": Reading(NOW, 5, content_s=0.9, duration_s=2.0),
        "b/m": Reading(NOW, 5, content_s=0.5, duration_s=3.0),
        "c/m": Reading(NOW - 61, 5, content_s=0.1, duration_s=0.1),
    }
    assert order_of(view) == "cba"
    assert order_of(view, request=replace(STREAM, stream=False)) == "cab"


def test_least_busy_counts_running_attempts_by_weight() -> None:
    view = view_of(3, "least-busy")
    view.in_progress = {"a/m": 3, "b/m": 1, "c/m": 2}
    assert order_of(view) == "bca"
    (a, b, c) = (choice.candidate for choice in sorted(plan_of(view).choices, key=lambda one: one.candidate.id))
    heavy = replace(view.snapshot.models["chat"], targets=(replace(a, weight=10.0), b, c))
    view.snapshot = replace(view.snapshot, models={"chat": heavy})
    assert order_of(view)[0] == "a"


def test_explained_terms_add_up_to_the_score() -> None:
    view = view_of(3)
    for name in "ab":
        teach(view, name, *[1.0] * 8)
    lines = list(plan_of(view, rng=Random(3)).notes)
    assert len(lines) == 3
    for line in lines:
        total, _, terms = line.partition(": ")[2].partition(" (")[0].partition(" = ")
        parts = [float(term.partition(" s ")[0]) for term in terms.split(", ")]
        assert sum(parts) == pytest.approx(float(total), rel=0.03)
    assert any("of noise" in line for line in lines)
    assert any("for a first look" in line for line in lines)
