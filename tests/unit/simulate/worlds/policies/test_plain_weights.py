"""Plain weights."""

from collections import Counter
from random import Random

import pytest

from pointsman.simulate.worlds.physics import Service
from pointsman.simulate.worlds.policies.plain_weights import PlainWeights
from pointsman.simulate.worlds.world import Arrival, Provider


def test_first_routes_are_drawn_by_weight() -> None:
    specs = [Provider(name=name, first_s=0.3, weight=weight) for name, weight in (("a", 3.0), ("b", 1.0), ("c", 0.0))]
    policy = PlainWeights([Service(one, (), 0).routes[0] for one in specs], Random(1))
    first = Counter(policy.rank(Arrival(0.0, 1, 1), 0.0)[0] for _ in range(4000))
    assert first[0] == pytest.approx(3000, rel=0.05)
    assert first[2] == 0
