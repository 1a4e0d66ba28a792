"""Sticky targets."""

import random
import time
import timeit
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw
from msgspec.structs import replace

from fakes.clock import pace
from fakes.routing import NOW, FakeView, call, endpoint, snapshot
from pointsman.domain.calls import Call, Facts
from pointsman.domain.identity import VirtualKey
from pointsman.domain.plans import Plan
from pointsman.domain.snapshots import PublicModel
from pointsman.domain.targets import Candidate, Strategy, candidate
from pointsman.routing.decide import decide
from pointsman.routing.explain import as_lines
from pointsman.routing.ordering import Order
from pointsman.routing.sticky import KeptOrders, reader_of
from pointsman.routing.strategies.weighted import WeightedSettings, strategy

ENDPOINTS = [endpoint(name) for name in "abcdef"]
VALUES = [f"session-{number}" for number in range(4000)]
RNG = random.Random(1)
VIEW = FakeView(snapshot(ENDPOINTS))


def targets(*weights: float) -> tuple[Candidate, ...]:
    return tuple(candidate(item, "m", weight) for item, weight in zip(ENDPOINTS, weights, strict=False))


def placed(*weights: float, salt: str = "chat", values: list[str] = VALUES) -> list[str]:
    orders = KeptOrders(salt, targets(*weights), "session")
    return [orders.order(value).candidates[0].endpoint.name for value in values]


def moved(before: list[str], after: list[str]) -> float:
    return sum(one != other for one, other in zip(before, after, strict=True)) / len(before)


@pytest.mark.parametrize("weights", [(80, 20), (1, 1, 1), (0.7, 0.2, 0.1), (5, 0, 15), (1e-300, 3e-300)])
def test_shares_of_many_values_converge_to_the_weights(weights: tuple[float, ...]) -> None:
    counts = Counter(placed(*weights))
    for name, weight in zip("abcdef", weights, strict=False):
        assert abs(counts[name] / len(VALUES) - weight / sum(weights)) < 0.03


def test_larger_share_moves_only_the_values_that_must_move() -> None:
    before, after = placed(90, 10), placed(80, 20)
    assert all(other == "b" for one, other in zip(before, after, strict=True) if one != other)
    assert abs(moved(before, after) - 0.1) < 0.02


@given(
    st.lists(st.floats(0.01, 100), min_size=2, max_size=6),
    st.integers(0, 5),
    st.floats(1, 50),
    st.lists(st.text(min_size=1), min_size=1, max_size=20),
)
def test_growing_weight_only_takes_values_from_others(
    weights: list[float], index: int, factor: float, values: list[str]
) -> None:
    index %= len(weights)
    larger = [weight * factor if place == index else weight for place, weight in enumerate(weights)]
    for one, other in zip(placed(*weights, values=values), placed(*larger, values=values), strict=True):
        assert one == other or other == "abcdef"[index]


@given(st.lists(st.floats(0.01, 100), min_size=3, max_size=6), st.lists(st.text(min_size=1), min_size=1, max_size=20))
def test_target_that_is_left_out_gives_up_only_its_own_values(weights: list[float], values: list[str]) -> None:
    left = KeptOrders("chat", targets(*weights)[1:], "session")
    for value, one in zip(values, placed(*weights, values=values), strict=True):
        assert one in ("a", left.order(value).candidates[0].endpoint.name)


def test_splits_of_two_names_are_independent() -> None:
    pairs = Counter(zip(placed(1, 1), placed(1, 1, salt="quick"), strict=True))
    assert all(abs(count / len(VALUES) - 0.25) < 0.03 for count in pairs.values())
    assert len(pairs) == 4


def test_same_target_twice_shares_the_values() -> None:
    one, other = (candidate(ENDPOINTS[0], "m", 1.0, variant) for variant in ("control", "trial"))
    orders = KeptOrders("chat", (one, other), "session")
    counts = Counter(orders.order(value).candidates[0].variant for value in VALUES)
    assert abs(counts["trial"] / len(VALUES) - 0.5) < 0.03


KEY = VirtualKey(name="notebook", digest=b"")


def with_user(dialect: str, **fields: bytes) -> Call:
    one = call()
    raw = {name: Raw(value) for name, value in fields.items()}
    return replace(one, fields=raw, head=replace(one.head, dialect=dialect))


HEAD = call().head
OF_KINDS = {
    "session": Facts(replace(call(), head=replace(HEAD, session="v"))),
    "tag:tenant": Facts(replace(call(), head=replace(HEAD, tags={"tenant": "v"}))),
    "header:x-user": Facts(replace(call(), head=replace(HEAD, headers={"x-user": "v"}))),
    "virtual_key": Facts(call(), replace(KEY, name="v")),
    "end_user": Facts(with_user("openai", user=b'"v"')),
}


def order_by(kept: str, *weights: float) -> Order:
    return strategy(targets(*weights), WeightedSettings(kept))


@pytest.mark.parametrize("kept", OF_KINDS)
def test_request_with_the_value_always_gets_the_same_target(kept: str) -> None:
    read = reader_of(kept)
    assert read is not None
    assert read(OF_KINDS[kept]) == "v"
    order = order_by(kept, 1, 1, 1)
    ordered = [order(OF_KINDS[kept], VIEW, random.Random(seed), NOW) for seed in range(20)]
    assert {one.candidates for one in ordered} == {ordered[0].candidates}
    assert ordered[0].kept_by == kept
    assert ordered[0].notes == (f"the same {kept} always gets this target while weights stand",)


@pytest.mark.parametrize("kept", OF_KINDS)
def test_request_without_the_value_is_drawn_at_random(kept: str) -> None:
    order = order_by(kept, 1, 1)
    drawn = [order(Facts(call()), VIEW, random.Random(seed), NOW) for seed in range(200)]
    assert abs(sum(one.candidates[0].endpoint.name == "a" for one in drawn) - 100) < 30
    assert {one.kept_by for one in drawn} == {""}


@pytest.mark.parametrize("kept", ["", "user", "header:", "header: x", "header:X-User", "cookie:a", "tag:"])
def test_unknown_kinds_are_rejected_with_the_known_ones(kept: str) -> None:
    with pytest.raises(ValueError, match="sticky must be one of session, end_user, virtual_key, header:NAME, tag:NAME"):
        WeightedSettings(kept)


def test_only_a_header_is_read_from_the_head() -> None:
    assert WeightedSettings("header:x-user").read_headers == ("x-user",)
    assert WeightedSettings("session").read_headers == WeightedSettings().read_headers == ()


def test_sticky_value_costs_about_two_microseconds() -> None:
    facts, order = OF_KINDS["session"], order_by("session", 90, 10)
    rounds = timeit.repeat(lambda: order(facts, VIEW, RNG, NOW), number=2000, repeat=30, timer=time.process_time)
    least_us = min(rounds) / 2000 * 1e6
    print(f"{least_us:.2f} µs")
    assert least_us < 4 * pace()


def test_explanation_says_that_the_target_is_kept() -> None:
    chosen = Strategy("weighted", WeightedSettings("session"))
    model = PublicModel(name="chat", targets=targets(50, 50), strategy=chosen)
    view = FakeView(replace(snapshot(ENDPOINTS), models={"chat": model}))
    plans = [decide(OF_KINDS["session"], view, random.Random(seed), NOW) for seed in range(10)]
    for plan in plans:
        assert isinstance(plan, Plan)
        assert plan.kept_by == "session"
        assert as_lines(plan, NOW)[1] == "   the same session always gets this target while weights stand"
    assert len({plan.choices[0].candidate.id for plan in plans if isinstance(plan, Plan)}) == 1
