"""Weighted choice."""

import random
from typing import NamedTuple

import pytest

from fakes.routing import ScriptedRandom
from pointsman.routing.weights import Draw, blended, draw


class Item(NamedTuple):
    name: str
    weight: float


def items(*weights: float) -> tuple[Item, ...]:
    return tuple(Item(name, weight) for name, weight in zip("abcdefgh", weights, strict=False))


def names(drawn: float, *weights: float) -> str:
    return "".join(item.name for item in Draw(items(*weights)).order(ScriptedRandom(drawn)))


@pytest.mark.parametrize("scale", [1e-300, 1e-9, 0.2, 1.0, 1e9, 1e300, 2e306])
def test_shares_match_weights_of_any_scale(scale: float) -> None:
    rng = random.Random(42)
    choices = items(80 * scale, 20 * scale)
    drawn = [Draw(choices).order(rng)[0].name for _ in range(10_000)]
    assert abs(drawn.count("a") / 10_000 - 0.8) < 0.015


def test_shares_hold_for_many_members_and_spread_scales() -> None:
    rng = random.Random(42)
    choices = items(1, 2, 3, 4, 0, 1e-200)
    drawn = [Draw(choices).order(rng)[0].name for _ in range(10_000)]
    for name, share in zip("abcdef", (0.1, 0.2, 0.3, 0.4, 0, 0), strict=True):
        assert abs(drawn.count(name) / 10_000 - share) < 0.015


def test_others_follow_by_descending_weight_in_stable_order() -> None:
    assert names(0.0, 1, 3, 2, 3) == "abdc"
    assert names(0.2, 1, 3, 2, 3) == "bdca"
    assert names(0.999, 5, 5, 5, 5) == "dabc"


def test_zero_weight_is_drawn_only_if_all_are_zero() -> None:
    for number in (0.0, 0.5, 1 - 2**-53):
        assert names(number, 0, 1, 0)[0] == "b"
        assert names(number, 1, 0)[0] == "a"
        assert names(number, 0, 0, 0) == "abc"


def test_largest_roll_draws_the_last_member() -> None:
    assert names(1 - 2**-53, 0.1, 0.2, 0.3) == "cba"
    assert names(1 - 2**-53, 0.18000000000000002, 0.56, 0.71, 0)[0] == "c"  # where rounding reaches past the last


def test_roll_on_the_edge_belongs_to_the_next_member() -> None:
    assert names(0.5, 1, 1) == "ba"


def test_duplicate_members_are_kept() -> None:
    item = Item("a", 1)
    assert Draw((item, item, item)).order(ScriptedRandom(0.5)) == (item, item, item)


def test_none_or_one_member_needs_no_random_number() -> None:
    assert Draw(items()).order(ScriptedRandom()) == ()
    assert Draw(items(0)).order(ScriptedRandom()) == items(0)


def test_input_is_not_changed() -> None:
    given = items(1, 2, 3)
    Draw(given).order(ScriptedRandom(0.9))
    assert given == items(1, 2, 3)


def test_blended_weights_fall_with_the_cost() -> None:
    assert blended([1, 1, 2], [100, 200, 400], 1) == [1, 0.5, 0.5]
    assert blended([1, 1], [100, 200], 2) == [1, 0.25]
    assert blended([1, 1], [100, 200], 0) == [1, 1]


def test_unknown_cost_counts_as_the_highest_known_one() -> None:
    assert blended([1, 1, 1], [100, None, 200], 1) == [1, 0.5, 0.5]
    assert blended([3, 1], [None, None], 1) == [3, 1]


def test_free_member_leaves_no_weight_to_others() -> None:
    assert blended([1, 1, 1], [0, 5, 0], 1) == [1, 0, 1]


@pytest.mark.parametrize("scale", [1e-300, 1.0, 1e300, 1e308])
def test_draw_by_given_weights_has_their_shares_at_any_scale(scale: float) -> None:
    rng, choices = random.Random(42), items(1, 1, 1)
    drawn = [draw(choices, [0.6 * scale, 0.0, 0.4 * scale], rng) for _ in range(10_000)]
    assert abs(sum(order[0].name == "a" for order in drawn) / 10_000 - 0.6) < 0.015
    assert {"".join(item.name for item in order) for order in drawn} == {"acb", "cab"}


def test_draw_by_given_weights_keeps_the_order_if_all_are_zero() -> None:
    assert draw(items(1, 1), [0, 0], ScriptedRandom(0.9)) == items(1, 1)
    assert draw((), [], ScriptedRandom(0.0)) == ()
