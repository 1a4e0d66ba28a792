"""Money as text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.domain.dollars import dollars, nano_of


@pytest.mark.parametrize(
    ("nano", "text"),
    [(0, "$0"), (1, "$0.000000001"), (50_000_000_000, "$50"), (1_230_000_000, "$1.23"), (-5, "-$0.000000005")],
)
def test_dollars_have_no_trailing_zeros(nano: int, text: str) -> None:
    assert dollars(nano) == text


@pytest.mark.parametrize(
    ("nano", "text"), [(0, "$0.00"), (1_234_500_000_000, "$1,234.50"), (-10, "-$0.00000001"), (10**15, "$1,000,000.00")]
)
def test_decimals_and_groups_are_formatted(nano: int, text: str) -> None:
    assert dollars(nano, decimals=2, grouped=True) == text


@given(st.integers(-(10**24), 10**24))
def test_text_is_exact(nano: int) -> None:
    sign, whole, fraction = "-" if nano < 0 else "", *dollars(abs(nano), symbol="", decimals=9).split(".")
    assert (int(sign + whole + fraction), len(fraction)) == (nano, 9)


@pytest.mark.parametrize(("usd", "nano"), [(0.01, 10_000_000), (1e-9, 1), (1_000_000.0, 10**15)])
def test_dollars_become_nano_dollars(usd: float, nano: int) -> None:
    assert nano_of(usd) == nano
