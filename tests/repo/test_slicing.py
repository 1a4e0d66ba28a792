"""The selection of slow tests for CI."""

from slicing import draw

NAMES = [*(f"a.py::kill[{seed}]" for seed in range(200)), "b.py::streams", "c.py::x[1]", "c.py::x[2]"]


def drawn(count: int, seed: int) -> list[str]:
    return list(draw(NAMES, count, seed))


def test_every_test_has_a_case_in_every_slice() -> None:
    for seed in range(20):
        assert {name.partition("[")[0] for name in drawn(3, seed)} == {"a.py::kill", "b.py::streams", "c.py::x"}


def test_a_seed_draws_the_same_and_another_one_others() -> None:
    assert drawn(20, 1) == drawn(20, 1)
    assert set(drawn(20, 1)) != set(drawn(20, 2))
    assert len(set(drawn(20, 1))) == 20


def test_all_are_drawn_where_there_are_no_more() -> None:
    assert sorted(drawn(1000, 3)) == sorted(NAMES)
