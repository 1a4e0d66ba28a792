"""Comparisons, and the oracle that no router beats."""

import pytest
from msgspec.structs import replace

from fakes.worlds import fault_of, small
from pointsman.simulate.worlds.compare import BASELINES, CONTENDERS, ORACLE, compare, regrets_of, run
from pointsman.simulate.worlds.contender import adaptive_contender
from pointsman.simulate.worlds.random_worlds import random_world
from pointsman.simulate.worlds.world import Arrival, Trace

ALONE = [one for one in CONTENDERS.values() if one.duplicates is None and one is not ORACLE]
NOISE = 0.03
FAULTS = {
    "none": (),
    "slow": (fault_of("p1", factor=4.0),),
    "errors": (fault_of("p1", errors=0.3),),
    "outage": (fault_of("p1", refuses=True),),
    "silence": (fault_of("p1", hangs=True),),
}


@pytest.mark.parametrize("name", FAULTS)
def test_oracle_is_never_beaten_without_duplicates(name: str) -> None:
    found = compare(small(*FAULTS[name], duration_s=60.0), ALONE, range(1, 4))
    best = min(found, key=lambda one: found[one].mean_s)
    assert (found[best].regret or 0.0) > -NOISE, best


@pytest.mark.slow
@pytest.mark.long  # half a minute each, thirty times
@pytest.mark.parametrize("seed", range(300, 330))
def test_oracle_is_never_beaten_in_random_worlds(seed: int) -> None:
    found = compare(random_world(seed), ALONE, [seed])
    assert min(one.regret or 0.0 for one in found.values()) > -NOISE


def test_only_the_adaptive_strategy_weighs_costs_as_the_scenario_does() -> None:
    """A name says nothing about a router."""
    world = small(duration_s=20.0, usd_s=1000.0)
    named = replace(CONTENDERS["fastest"], name="adaptive-like")
    renamed = replace(CONTENDERS["adaptive"], name="other")
    assert run(world, named, 1) == run(world, CONTENDERS["fastest"], 1)
    assert run(world, renamed, 1) == run(world, adaptive_contender("balanced"), 1)


def test_baselines_have_names_of_their_own() -> None:
    names = [one.name for one in BASELINES]
    assert len({*names, ORACLE.name}) == len(names) + 1
    assert set(names) <= set(CONTENDERS)


def test_regrets_of_worlds_are_means_over_them() -> None:
    worlds = [small(duration_s=20.0), small(fault_of("p1", 5.0, 15.0, refuses=True), duration_s=20.0)]
    heard: list[str] = []
    found = regrets_of(worlds, [ORACLE, CONTENDERS["plain-weights"]], heard.append)
    assert heard == ["small", "small"]
    assert found["oracle"].mean == found["oracle"].worst == 0.0
    assert found["plain-weights"].worst >= found["plain-weights"].mean > 0.0


def test_trace_gives_the_arrivals() -> None:
    trace = Trace("made-up", [Arrival(float(at), 100, 10) for at in range(100)])
    found = compare(small(duration_s=20.0, rate=2.0), [ORACLE], [1], trace)
    assert found["oracle"].requests == pytest.approx(40, abs=2)
