"""Quantiles of histograms."""

import pytest

from pointsman.telemetry.quantiles import quantile

BOUNDS = (1.0, 2.0, 4.0)


@pytest.mark.parametrize(
    ("share", "counts", "expected"),
    [
        (0.5, [0, 0, 0, 0], None),
        (0.5, [4, 0, 0, 0], 0.5),
        (0.5, [0, 4, 0, 0], 1.5),
        (0.5, [2, 0, 2, 0], 1.0),
        (0.75, [2, 0, 2, 0], 3.0),
        (0.99, [0, 0, 0, 5], 4.0),
        (1.0, [1, 1, 1, 0], 4.0),
    ],
)
def test_value_is_interpolated_within_its_bucket(share: float, counts: list[int], expected: float | None) -> None:
    assert quantile(share, BOUNDS, counts) == expected


def test_histogram_without_bounds_has_none() -> None:
    assert quantile(0.5, (), ()) is None
