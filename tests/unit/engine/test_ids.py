"""Request ids are valid UUIDs of version 7 that sort in the order of their creation."""

import uuid
from random import Random

from pointsman.engine.ids import RequestIds


def test_id_is_a_uuid_of_version_7() -> None:
    ids = RequestIds(Random(1))
    for number in range(1000):
        now = 1_800_000_000 + number / 250
        found = uuid.UUID(ids.new(now))
        assert (found.version, found.variant) == (7, uuid.RFC_4122)
        assert found.int >> 80 == int(now * 1000)


def test_ids_sort_in_order_even_if_the_clock_goes_back() -> None:
    for seed in range(20):
        ids = RequestIds(Random(seed))
        times = [1.8e9] * 10_000 + [1.8e9 - 3600] * 100 + [1.8e9 + 0.001 * number for number in range(100)]
        made = [ids.new(now) for now in times]
        assert made == sorted(made)
        assert len(set(made)) == len(made)
        assert all(uuid.UUID(identity).version == 7 for identity in made)


def test_full_millisecond_uses_the_next_one() -> None:
    ids = RequestIds(Random(4))
    made = [uuid.UUID(ids.new(1.8e9)).int >> 80 for _ in range(5000)]
    assert made[0] == 1_800_000_000_000
    assert 1 <= made[-1] - made[0] <= 3


def test_processes_make_different_ids() -> None:
    made = {RequestIds(Random(seed)).new(1.8e9) for seed in range(500)}
    assert len(made) == 500
    ever_set = ever_clear = 0
    for identity in made:
        ever_set |= uuid.UUID(identity).int
        ever_clear |= ~uuid.UUID(identity).int
    assert (ever_set & ever_clear & ((1 << 80) - 1)).bit_count() == 11 + 14 + 48
