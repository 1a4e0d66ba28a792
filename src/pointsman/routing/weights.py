"""Weighted choice: one member drawn by weight, the rest behind it by descending weight.

The draw decides who serves; the order behind it is the fallback chain, which is the same for every request that drew
the same member, so that what happens after a failure can be foretold. It also means that a set of members has only as
many orders as members: they are worked out once, and a draw is a look through a few numbers.
"""

from functools import lru_cache
from math import inf
from typing import Protocol, TypeVar

from pointsman.routing.view import Dice


class Weighted(Protocol):
    @property
    def weight(self) -> float: ...


W = TypeVar("W", bound=Weighted)


def weighted_order(items: tuple[W, ...], rng: Dice) -> tuple[W, ...]:
    """A permutation of `items`. Weights may have any scale; a member of weight zero is drawn only when all are."""
    if len(items) < 2:
        return items
    point = rng.random()
    order = items
    orders: tuple[tuple[float, tuple[W, ...]], ...] = _orders(items)  # type: ignore[assignment]  # a permutation of them
    for share, order in orders:  # noqa: B007
        if point < share:
            break
    return order


@lru_cache(maxsize=4096)
def _orders(items: tuple[Weighted, ...]) -> tuple[tuple[float, tuple[Weighted, ...]], ...]:
    """Each order with the cumulated share of the draws, up to 1, at which it ends."""
    total = sum(item.weight for item in items)
    scale = 1.0
    if total == inf:  # weights near the largest float: scaled down, their sum is finite
        scale = max(item.weight for item in items)
        total = sum(item.weight / scale for item in items)
    if total <= 0:
        return ((1.0, items),)
    orders: list[tuple[float, tuple[Weighted, ...]]] = []
    cumulated = 0.0
    for index, item in enumerate(items):
        if item.weight > 0:
            cumulated += item.weight / scale / total
            rest = sorted((*items[:index], *items[index + 1 :]), key=_descending)
            orders.append((cumulated, (item, *rest)))
    return tuple(orders)


def _descending(item: Weighted) -> float:
    return -item.weight
