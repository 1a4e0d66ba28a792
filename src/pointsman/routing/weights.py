"""Weighted choice: one member drawn by weight, the rest behind it by descending weight.

The draw decides who serves; the order behind it is the fallback chain, which is the same for every request that drew
the same member, so that what happens after a failure can be foretold.
"""

from collections.abc import Sequence
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
    heaviest = max(item.weight for item in items)
    if heaviest <= 0:
        return items
    # Dividing by the heaviest first keeps the sum finite for weights near the largest float.
    point = rng.random() * sum(item.weight / heaviest for item in items)
    drawn = None
    for item in items:
        if item.weight > 0:
            drawn = item
            point -= item.weight / heaviest
            if point < 0:
                break
    if drawn is None:
        return items
    rest = [item for item in items if item is not drawn]
    if len(rest) > 1:
        rest.sort(key=_descending)
    return [drawn, *rest]


def _descending(item: Weighted) -> float:
    return -item.weight
