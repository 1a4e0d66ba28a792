"""Random worlds by seed."""

from pointsman.simulate.worlds.random_worlds import random_world


def test_same_seed_gives_the_same_world() -> None:
    assert random_world(11) == random_world(11)
    assert random_world(11) != random_world(12)


def test_worlds_are_within_their_bounds() -> None:
    for seed in range(200):
        world = random_world(seed)
        names = {one.name for one in world.providers}
        assert 3 <= len(world.providers) <= 6
        assert 2 <= len(world.faults) <= 5
        assert all(fault.provider in names and 60 <= fault.since < fault.until for fault in world.faults)
        assert all(1 <= len(one.keys) <= 2 for one in world.providers)
