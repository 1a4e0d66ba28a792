"""The slope of the ratio over the attempts in progress."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.routing.load import PRIOR_RUNNING, PRIOR_SLOPE, Load

GAP_S = 0.1


def learned(pairs: list[tuple[int, float]]) -> Load:
    load, now = Load(0.0), 0.0
    for running, ratio in pairs:
        now += GAP_S
        load.begin(running)
        load.learn(running, ratio, now, GAP_S)
    return load


def test_without_an_answer_the_slope_is_a_small_part_of_the_ratio() -> None:
    assert Load(0.0).slope(2.0) == pytest.approx(2.0 * PRIOR_SLOPE / PRIOR_RUNNING)


def test_learns_the_slope_of_an_engine_that_gets_slower_with_load() -> None:
    load = learned([(1 + number % 12, 1.0 + 0.2 * (1 + number % 12)) for number in range(300)])
    assert load.slope(2.3) == pytest.approx(0.2, rel=0.1)
    assert load.usual == pytest.approx(6.5, abs=1.0)


def test_a_provider_of_constant_speed_gets_almost_no_slope() -> None:
    load = learned([(1 + number % 12, 1.0) for number in range(300)])
    assert load.slope(1.0) < Load(0.0).slope(1.0) / 4


def test_a_provider_that_is_faster_under_load_has_no_negative_slope() -> None:
    assert learned([(1 + number % 12, 3.0 - 0.2 * (number % 12)) for number in range(300)]).slope(1.9) == 0.0


def test_forgets_an_old_slope() -> None:
    load = learned([(1 + number % 12, 1.0 + 0.2 * (1 + number % 12)) for number in range(300)])
    for number in range(300):
        load.learn(1 + number % 12, 1.0, 1000.0 + number * GAP_S, GAP_S)
    assert load.slope(1.0) < 0.03


@given(st.lists(st.tuples(st.integers(1, 1000), st.floats(0.01, 60.0)), max_size=60), st.floats(0.01, 60.0))
def test_a_slope_is_finite_and_never_negative(pairs: list[tuple[int, float]], ratio: float) -> None:
    assert 0.0 <= learned(pairs).slope(ratio) < 1000.0
