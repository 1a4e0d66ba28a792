"""Prequal without probes."""

from random import Random

from pointsman.simulate.worlds.physics import Service
from pointsman.simulate.worlds.policies.prequal import PassivePrequal
from pointsman.simulate.worlds.world import Arrival, Provider

REQUEST = Arrival(0.0, 100, 50)


def policy() -> PassivePrequal:
    found = PassivePrequal([Service(Provider(name=name, first_s=0.3), (), 0).routes[0] for name in "abc"], Random(1))
    for route, took_s in enumerate((0.2, 0.4, 0.8)):
        found.answered(route, REQUEST, took_s, 0.0)
    return found


def test_lowest_median_wins_among_cold_routes() -> None:
    found = policy()
    assert found.rank(REQUEST, 0.0) == [0, 1, 2]
    for _ in range(16):
        found.answered(0, REQUEST, 0.6, 0.0)
    assert found.rank(REQUEST, 0.0)[0] == 1


def test_hot_route_is_avoided() -> None:
    found = policy()
    for _ in range(20):
        found.rank(REQUEST, 0.0)
    for _ in range(5):
        found.started(0, 0.0)
    assert found.rank(REQUEST, 0.0)[0] == 1


def test_fewest_in_flight_wins_if_all_are_hot() -> None:
    found = policy()
    for _ in range(100):
        found.rank(REQUEST, 0.0)
    for route, count in enumerate((3, 2, 4)):
        for _ in range(count):
            found.started(route, 0.0)
    assert found.rank(REQUEST, 0.0) == [1, 0, 2]
