"""Amounts of money as text, and spans of time."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pointsman.admin.problems import ApiError
from pointsman.admin.services import TimeSpan, _half_character, usd


@pytest.mark.parametrize(
    ("nano", "text"),
    [(0, "0.000000000"), (1, "0.000000001"), (1_500_000_000, "1.500000000"), (-2, "-0.000000002")],
)
def test_nano_dollars_as_text(nano: int, text: str) -> None:
    assert usd(nano) == text


@given(st.integers(-(10**24), 10**24))
def test_dollars_are_exact(nano: int) -> None:
    whole, _, rest = usd(nano).partition(".")
    assert int(whole + rest) == nano or (whole == "-0" and -int(rest) == nano)


def test_default_span_is_the_last_thirty_days() -> None:
    start, end = TimeSpan().bounds()
    assert end == pytest.approx(time.time() + 1, abs=5)
    assert end - start == 30 * 86_400
    assert TimeSpan(since=10, until=20).bounds() == (10, 20)
    assert TimeSpan(until=86_400).bounds() == (0, 86_400), "time begins in 1970"


def test_reversed_span_is_rejected() -> None:
    with pytest.raises(ApiError) as caught:
        TimeSpan(since=20, until=20).bounds()
    assert caught.value.status == 422


@pytest.mark.parametrize("value", [-1, float("nan"), float("inf"), 1e18])
def test_impossible_moments_are_rejected(value: float) -> None:
    with pytest.raises(ValidationError):
        TimeSpan(since=value)


@pytest.mark.parametrize(
    ("data", "place"),
    [
        ({"a": {"b": ["x", "\ud800"]}}, "a.b[1]"),
        ({"a": {"\udfff": 1}}, "a"),
        ({"a": "\U0001f642"}, None),
        ({"a": 1}, None),
    ],
)
def test_half_a_character_is_found(data: object, place: str | None) -> None:
    assert _half_character(data) == place
