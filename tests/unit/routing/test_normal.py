"""Quantiles of the normal distribution."""

from statistics import fmean, pstdev

import pytest

from pointsman.routing.normal import SIZE, normal


def test_evenly_spread_shares_give_a_normal_distribution() -> None:
    found = [normal(number / SIZE) for number in range(SIZE)]
    assert found == sorted(found)
    assert fmean(found) == pytest.approx(0.0, abs=1e-9)
    assert pstdev(found) == pytest.approx(1.0, abs=0.01)
    assert sum(abs(one) < 1 for one in found) / SIZE == pytest.approx(0.683, abs=0.002)


def test_ends_of_the_shares_are_finite() -> None:
    assert normal(0.0) == pytest.approx(-normal(1 - 1e-16))
    assert normal(0.0) < -3
