"""Rules for every strategy."""

import random

import pytest
from msgspec import Struct
from msgspec.structs import replace

from fakes.routing import NOW, FakeView, call, endpoint, snapshot
from pointsman.domain.calls import Facts
from pointsman.domain.plans import Plan
from pointsman.domain.snapshots import Routing
from pointsman.domain.targets import Candidate, Strategy, candidate
from pointsman.routing.decide import decide
from pointsman.routing.explain import as_lines
from pointsman.routing.health import LIMITS, Condition
from pointsman.routing.ordering import Order, Ordered
from pointsman.routing.readings import Reading
from pointsman.routing.strategies import STRATEGIES, StrategyKind
from pointsman.routing.view import RandomSource, View

FACTS = Facts(call())
ENDPOINTS = [endpoint(f"p{number:02}") for number in range(50)]
CONFIGURATION = snapshot(ENDPOINTS, [candidate(item, "m") for item in ENDPOINTS])

every_strategy = pytest.mark.parametrize("strategy", STRATEGIES)


def candidates(count: int, *, equal: bool) -> list[Candidate]:
    return [candidate(item, "m", 1.0 if equal else number + 1) for number, item in enumerate(ENDPOINTS[:count])]


def order(strategy: str, given: list[Candidate], view: FakeView, rng: random.Random) -> tuple[Candidate, ...]:
    kind = STRATEGIES[strategy]
    return kind.make(tuple(given), kind.settings())(FACTS, view, rng, NOW).candidates


def test_strategies_of_the_configuration_are_found() -> None:
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
def test_same_candidate_twice_stays_twice(strategy: str) -> None:
    item = candidates(1, equal=True)[0]
    ordered = order(strategy, [item, item], FakeView(CONFIGURATION), random.Random(1))
    assert list(ordered) == [item, item]


@every_strategy
def test_same_seed_gives_the_same_order(strategy: str) -> None:
    given = candidates(50, equal=False)
    view = FakeView(CONFIGURATION)
    first, second = (list(order(strategy, given, view, random.Random(9))) for _ in range(2))
    assert first == second


class Measure(Struct, frozen=True):
    by: str = "duration_s"


def quickest(candidates: tuple[Candidate, ...], settings: Measure) -> Order:
    """Order candidates by one of the readings. A candidate that was not measured for a minute comes first."""

    def order(facts: Facts, view: View, rng: RandomSource, now: float) -> Ordered:
        seen = [(view.readings.get(item.id), place, item) for place, item in enumerate(candidates)]
        known = [
            (0.0 if reading is None or now - reading.at > 60 else float(getattr(reading, settings.by)), place, item)
            for reading, place, item in seen
        ]
        ordered = sorted(known, key=lambda one: one[:2])
        return Ordered(tuple(item for *_, item in ordered), tuple(f"{item.id} {took:g} s" for took, _, item in ordered))

    return order


def test_strategy_orders_by_readings_settings_and_time_and_explains_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(STRATEGIES, "quickest", StrategyKind(quickest, Measure))  # type: ignore[arg-type]

    def decided(settings: Measure | None, now: float) -> tuple[list[str], list[str]]:
        routing = Routing(strategy=Strategy("quickest", settings))
        view = FakeView(replace(snapshot(ENDPOINTS[:2], candidates(2, equal=True)), routing=routing))
        view.readings = {"p00/m": Reading(NOW, 1, 0.0, 3.0, 0.1), "p01/m": Reading(NOW + 50, 1, 0.0, 1.0, 0.5)}
        plan = decide(FACTS, view, random.Random(1), now)
        assert isinstance(plan, Plan)
        return [choice.candidate.id for choice in plan.choices], as_lines(plan, now)[1:3]

    assert decided(None, NOW) == (["p01/m", "p00/m"], ["   p01/m 1 s", "   p00/m 3 s"])
    assert decided(Measure("first_byte_s"), NOW)[0] == ["p00/m", "p01/m"]
    assert decided(None, NOW + 70)[0] == ["p00/m", "p01/m"]
