"""Stable splits."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.routing.splits import is_within

VALUES = [f"user-{number}" for number in range(10_000)]


@pytest.mark.parametrize("percent", [0.5, 10, 33.3, 50, 90])
def test_share_of_many_values_matches_the_percentage(percent: float) -> None:
    share = sum(is_within(percent, "chat", value) for value in VALUES) / len(VALUES)
    assert abs(share * 100 - percent) < 1.6


@given(st.text(), st.text(min_size=1), st.floats(0, 100), st.floats(0, 100))
def test_larger_percentage_keeps_all_values_of_a_smaller_one(salt: str, value: str, one: float, other: float) -> None:
    less, more = sorted((one, other))
    assert is_within(more, salt, value) or not is_within(less, salt, value)
    assert is_within(less, salt, value) == is_within(less, salt, value)


@given(st.text(), st.text(min_size=1))
def test_nothing_is_within_zero_percent_and_everything_within_a_hundred(salt: str, value: str) -> None:
    assert not is_within(0, salt, value)
    assert is_within(100, salt, value)
    assert is_within(100, salt, "")


def test_empty_value_belongs_to_no_part() -> None:
    assert not is_within(99.9, "chat", "")


def test_splits_with_different_salts_are_independent() -> None:
    both = sum(is_within(50, "chat", value) and is_within(50, "quick", value) for value in VALUES) / len(VALUES)
    assert abs(both - 0.25) < 0.02


def test_split_is_the_same_in_every_process() -> None:
    code = "from pointsman.routing.splits import is_within; print([is_within(30, 'a', str(n)) for n in range(64)])"
    other = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert other.stdout.strip() == str([is_within(30, "a", str(number)) for number in range(64)])
    assert [number for number in range(16) if is_within(30, "a", str(number))] == [9, 10, 11, 13]
