"""Weighted choice: one member drawn by weight, the rest behind it by descending weight.

The draw decides who serves; the order behind it is the fallback chain, which is the same for every request that drew
the same member, so that what happens after a failure can be foretold.
"""

from collections.abc import Sequence
from math import inf
from typing import Protocol, TypeVar

from pointsman.routing.view import Dice


class Weighted(Protocol):
    @property
    def weight(self) -> float: ...


W = TypeVar("W", bound=Weighted)


def weighted_order(items: Sequence[W], rng: Dice) -> Sequence[W]:
    """A permutation of `items`. Weights may have any scale; a member of weight zero is drawn only when all are."""
    if len(items) < 2:
        return items
    total = 0.0
    for item in items:
        total += item.weight
    if total <= 0:
        return items
    scale = 1.0
    if total == inf:  # weights near the largest float: scaled down, their sum is finite
        scale = max(item.weight for item in items)
        total = sum(item.weight / scale for item in items)
    point = rng.random() * total
    drawn = 0
    for index, item in enumerate(items):
        weight = item.weight
        if weight > 0:
            drawn = index
            point -= weight / scale
            if point < 0:
                break
    rest = list(items)
    first = rest.pop(drawn)
    if len(rest) > 1:
        rest.sort(key=_descending)
    return [first, *rest]


def _descending(item: Weighted) -> float:
    return -item.weight
