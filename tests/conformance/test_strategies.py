"""Rules for every strategy."""

import random

import pytest

from fakes.routing import NOW, FakeView, call, endpoint, snapshot
from pointsman.domain.calls import Facts
from pointsman.domain.targets import Candidate, candidate
from pointsman.routing.health import LIMITS, Condition
from pointsman.routing.strategies import STRATEGIES

FACTS = Facts(call())
ENDPOINTS = [endpoint(f"p{number:02}") for number in range(50)]
CONFIGURATION = snapshot(ENDPOINTS, [candidate(item, "m") for item in ENDPOINTS])

every_strategy = pytest.mark.parametrize("strategy", STRATEGIES)


def candidates(count: int, *, equal: bool) -> list[Candidate]:
    return [candidate(item, "m", 1.0 if equal else number + 1) for number, item in enumerate(ENDPOINTS[:count])]


def order(strategy: str, given: list[Candidate], view: FakeView, rng: random.Random) -> tuple[Candidate, ...]:
    kind = STRATEGIES[strategy]
    return kind.make(tuple(given), kind.settings())(FACTS, view, rng, NOW).candidates


def test_the_strategies_of_the_configuration_are_found() -> None:
    assert {"priority", "weighted"} <= set(STRATEGIES)


@every_strategy
@pytest.mark.parametrize("count", [0, 1, 2, 50])
@pytest.mark.parametrize("equal", [True, False], ids=["equal", "different"])
@pytest.mark.parametrize("broken", [True, False], ids=["broken", "healthy"])
def test_order_is_a_permutation_and_does_not_change_its_input(
    strategy: str, count: int, equal: bool, broken: bool
) -> None:
    view = FakeView(CONFIGURATION)
    given = candidates(count, equal=equal)
    if broken:
        view.conditions = {item.id: Condition(LIMITS.failures, 1, 1e9) for item in given}
    before = list(given)
    for seed in range(20):
        ordered = order(strategy, given, view, random.Random(seed))
        assert sorted(map(id, ordered)) == sorted(map(id, before))
        assert given == before


@every_strategy
def test_the_same_candidate_twice_stays_twice(strategy: str) -> None:
    item = candidates(1, equal=True)[0]
    ordered = order(strategy, [item, item], FakeView(CONFIGURATION), random.Random(1))
    assert list(ordered) == [item, item]


@every_strategy
def test_the_same_seed_gives_the_same_order(strategy: str) -> None:
    given = candidates(50, equal=False)
    view = FakeView(CONFIGURATION)
    first, second = (list(order(strategy, given, view, random.Random(9))) for _ in range(2))
    assert first == second
