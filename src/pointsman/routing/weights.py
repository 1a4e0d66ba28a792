"""Weighted choice: one member drawn by weight, the rest behind it by descending weight.

The draw decides which member serves. The order behind it is the fallback chain, which is the same after every draw of
that member. So the sequence after a failure is predictable. It also means that a set of members has only as many orders
as members. They are computed once, and a draw reads a few numbers.
"""

from math import inf
from typing import Generic, Protocol, TypeVar

from pointsman.routing.view import Dice


class Weighted(Protocol):
    @property
    def weight(self) -> float: ...


W = TypeVar("W", bound=Weighted)


class Draw(Generic[W]):
    """The orders of some members. Weights may have any scale; a member of weight zero is drawn only when all are."""

    __slots__ = ("_items", "_orders")

    def __init__(self, items: tuple[W, ...]) -> None:
        self._items = items
        self._orders = _orders(items) if len(items) > 1 else ()

    def order(self, rng: Dice) -> tuple[W, ...]:
        """Return a permutation of the members."""
        order = self._items
        if self._orders:
            point = rng.random()
            for share, order in self._orders:  # noqa: B007
                if point < share:
                    break
        return order


def _orders(items: tuple[W, ...]) -> tuple[tuple[float, tuple[W, ...]], ...]:
    """Return each order with the cumulated share of the draws, up to 1, at which it ends."""
    total = sum(item.weight for item in items)
    scale = 1.0
    if total == inf:  # weights near the largest float: scaled down, their sum is finite
        scale = max(item.weight for item in items)
        total = sum(item.weight / scale for item in items)
    if total <= 0:
        return ((1.0, items),)
    orders: list[tuple[float, tuple[W, ...]]] = []
    cumulated = 0.0
    for index, item in enumerate(items):
        if item.weight > 0:
            cumulated += item.weight / scale / total
            rest = sorted((*items[:index], *items[index + 1 :]), key=lambda other: -other.weight)
            orders.append((cumulated, (item, *rest)))
    return tuple(orders)
