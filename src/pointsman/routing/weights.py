"""Weighted choice: one member drawn by weight, followed by the rest in descending order of weight.

The draw decides which member serves. The order of the rest is the fallback chain, which is the same after every draw of
that member. So the sequence after a failure is predictable. It also means that a set of members has only as many orders
as members. They are computed once, and a draw reads a few numbers.
"""

from collections.abc import Sequence
from math import inf
from typing import Generic, Protocol, TypeVar

from pointsman.routing.view import RandomSource


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

    @property
    def orders(self) -> tuple[tuple[W, ...], ...]:
        """All orders that can be drawn."""
        return tuple([order for _, order in self._orders]) or (self._items,) * bool(self._items)

    def order(self, rng: RandomSource) -> tuple[W, ...]:
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


def blended(weights: Sequence[float], costs: Sequence[int | None], exponent: float) -> list[float]:
    """Return the weights multiplied by `(lowest cost / cost) ** exponent`. An unknown cost counts as the highest known
    one. Beside a cost of zero, all others have the weight zero."""
    known = [cost for cost in costs if cost is not None]
    if not known:
        return list(weights)
    lowest, highest = min(known), max(known)
    shares = [_share(lowest, highest if cost is None else cost, exponent) for cost in costs]
    return [weight * share for weight, share in zip(weights, shares, strict=True)]


def _share(lowest: int, cost: int, exponent: float) -> float:
    return 1.0 if cost == lowest else (lowest / cost) ** exponent


def draw(items: tuple[W, ...], weights: Sequence[float], rng: RandomSource) -> tuple[W, ...]:
    """Return a permutation of the items: one drawn by these weights, and the rest by descending weight."""
    highest = max(weights, default=0.0)
    if highest <= 0 or len(items) < 2:
        return items
    scaled = [weight / highest for weight in weights]  # their sum is finite
    point, drawn = rng.random() * sum(scaled), 0
    for place, weight in enumerate(scaled):
        if weight > 0:
            drawn = place
            if point < weight:
                break
            point -= weight
    rest = sorted((place for place in range(len(items)) if place != drawn), key=lambda place: -scaled[place])
    return (items[drawn], *[items[place] for place in rest])
