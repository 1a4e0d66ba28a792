"""Round robin."""

from random import Random

from pointsman.simulate.worlds.physics import Service
from pointsman.simulate.worlds.policies.round_robin import RoundRobin
from pointsman.simulate.worlds.world import Arrival, Provider


def test_each_request_begins_one_route_further() -> None:
    policy = RoundRobin([Service(Provider(name=name, first_s=0.3), (), 0).routes[0] for name in "abc"], Random(1))
    found = [policy.rank(Arrival(0.0, 1, 1), 0.0) for _ in range(4)]
    assert found == [[0, 1, 2], [1, 2, 0], [2, 0, 1], [0, 1, 2]]
