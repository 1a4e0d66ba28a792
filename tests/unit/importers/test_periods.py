"""Durations of other gateways become windows, and every change of length is said."""

import pytest

from pointsman.importers.periods import Window, window_of


@pytest.mark.parametrize(
    ("duration", "window"),
    [
        ("60s", "minute"),
        ("1m", "minute"),
        ("1h", "hour"),
        ("24h", "day"),
        ("1d", "day"),
        ("7d", "week"),
        ("1w", "week"),
        ("30d", "month"),
        ("1mo", "month"),
        ("1M", "month"),
        ("3M", "quarter"),
        ("1Y", "year"),
        ("365d", "year"),
        ("6h", {"hours": 6}),
        ("2d", {"hours": 48}),
    ],
)
def test_exact_window_has_no_remark(duration: str, window: Window) -> None:
    assert window_of(duration) == (window, "")


@pytest.mark.parametrize(
    ("duration", "window", "remark"),
    [
        ("30s", "minute", "30s does not exist"),
        ("45m", "hour", "45m does not exist"),
        ("90m", {"hours": 1}, "rounded to hours"),
        ("2M", {"hours": 1440}, ""),
        ("2Y", "year", "too long"),
        ("500d", "year", "too long"),
    ],
)
def test_other_length_is_said(duration: str, window: Window, remark: str) -> None:
    found, said = window_of(duration)
    assert found == window
    assert remark in said


@pytest.mark.parametrize("duration", ["", None, "soon", "0d", "-1d", 5])
def test_no_duration_is_no_window(duration: object) -> None:
    found, said = window_of(duration)
    assert found is None
    assert "is not a duration" in said
