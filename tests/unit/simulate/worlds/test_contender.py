"""Routers: strategies of the core, and policies within it."""

import pytest

from fakes.worlds import fault_of, small
from pointsman.routing.strategies import STRATEGIES
from pointsman.simulate.worlds.compare import CONTENDERS, run
from pointsman.simulate.worlds.contender import RANKED, adaptive_contender, production, ranked_strategy


def test_policies_are_a_strategy_only_during_a_simulation() -> None:
    assert RANKED not in STRATEGIES
    with ranked_strategy():
        assert STRATEGIES[RANKED].learns
    assert RANKED not in STRATEGIES
    with pytest.raises(ZeroDivisionError), ranked_strategy():
        raise ZeroDivisionError
    assert RANKED not in STRATEGIES


def test_breaker_of_the_core_helps_no_policy() -> None:
    """Plain weights go on trying a provider that is down; the same weights in the core avoid it."""
    world = small(fault_of("p1", refuses=True))
    plain, weighted = [run(world, CONTENDERS[name], 1) for name in ("plain-weights", "weighted")]
    first = [[one.first == "p1" for one in found.requests if 30 <= one.at < 60] for found in (plain, weighted)]
    assert sum(first[0]) > 3 * sum(first[1])


def test_names_tell_duplicates() -> None:
    assert production("fastest").name == "fastest"
    assert adaptive_contender().name == "adaptive"
    assert CONTENDERS["adaptive+hedge"].duplicates is not None
