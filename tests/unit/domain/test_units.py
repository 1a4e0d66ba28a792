"""Units beside tokens."""

from pointsman.domain.units import Units


def test_units_without_an_estimate_are_exact() -> None:
    assert Units("second", 1500).is_exact
    assert not Units("second", 1500, 0).is_exact
