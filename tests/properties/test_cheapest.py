"""The strategy `cheapest` is optimal: its order is that of a brute force over the text of the guide."""

from random import Random

from bench.cheapest import decided_order, expected_order, random_case
from hypothesis import given
from hypothesis import strategies as st


@given(st.integers(0, 2**32))
def test_cheapest_orders_every_case_like_a_brute_force(seed: int) -> None:
    case = random_case(Random(seed))
    assert decided_order(case) == expected_order(case)
