"""A random draw in proportion to the weights, which need not sum to 1. The rest follow by descending weight.

With `sticky`, the draw is replaced by a hash of a value of the request. Requests without the value are drawn. With
`cost`, the weights of a request are the lower the more it is expected to cost.
"""

from collections.abc import Iterator, Sequence
from typing import Annotated

from msgspec import Meta, Struct

from pointsman.domain.calls import Facts
from pointsman.domain.targets import Candidate
from pointsman.routing.costs import cost_text, expected_costs
from pointsman.routing.ordering import Order, Ordered
from pointsman.routing.sticky import KINDS, KeptOrders, header_of, reader_of
from pointsman.routing.view import RandomSource, View
from pointsman.routing.weights import Draw, blended, draw


class WeightedSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """`sticky` keeps related requests at one target, and `cost` prefers the cheaper targets. They exclude each
    other."""

    sticky: Annotated[
        str | None,
        Meta(
            description="Requests that share this value always get the same target. It is `session`, `end_user`, "
            "`virtual_key`, `header:x-name` or `tag:name`. Default: none."
        ),
    ] = None
    cost: Annotated[
        Annotated[float, Meta(ge=0, le=100)],
        Meta(
            description="The exponent of the cost in the weights. For each request, a weight is multiplied by `(lowest "
            "expected cost / expected cost)` to this power. With 2, a target of twice the cost gets a quarter. "
            "Default: 0, which ignores costs."
        ),
    ] = 0.0

    def __post_init__(self) -> None:
        if self.sticky is not None and reader_of(self.sticky) is None:
            kinds = ", ".join(KINDS)
            raise ValueError(f"sticky must be one of {kinds}, with the name in lower case, not {self.sticky!r}")
        if self.sticky is not None and self.cost:
            raise ValueError("sticky and cost exclude each other: costs change from request to request")

    @property
    def read_headers(self) -> tuple[str, ...]:
        """The headers that the settings read, in lower case."""
        name = header_of(self.sticky)
        return (name,) if name is not None else ()


class BlendedNotes(Struct, frozen=True, gc=False):
    """The expected costs of candidates, and their weights after the costs."""

    candidates: Sequence[Candidate]
    costs: Sequence[int | None]
    weights: Sequence[float]

    def __iter__(self) -> Iterator[str]:
        for item, nano, weight in zip(self.candidates, self.costs, self.weights, strict=True):
            yield f"{cost_text(item, nano)}, weight {weight:.4g} of {item.weight:g}"


def strategy(candidates: tuple[Candidate, ...], settings: WeightedSettings) -> Order:
    if len(candidates) > 1:
        if settings.cost:
            return _by_cost(candidates, settings.cost)
        if settings.sticky is not None:
            return _kept(candidates, settings.sticky)
    by_weight = Draw(candidates)
    return lambda facts, view, rng, now: Ordered(by_weight.order(rng))


def _by_cost(candidates: tuple[Candidate, ...], exponent: float) -> Order:
    configured = [item.weight for item in candidates]

    def order(facts: Facts, view: View, rng: RandomSource, now: float) -> Ordered:
        costs = expected_costs(candidates, facts, view)
        weights = blended(configured, costs, exponent)
        return Ordered(draw(candidates, weights, rng), BlendedNotes(candidates, costs, weights))

    return order


def _kept(candidates: tuple[Candidate, ...], kept: str) -> Order:
    by_weight, read, orders = Draw(candidates), reader_of(kept), KeptOrders("", (), "")
    assert read is not None  # the settings were checked

    def order(facts: Facts, view: View, rng: RandomSource, now: float) -> Ordered:
        nonlocal orders
        value = read(facts)
        if not value:
            return Ordered(by_weight.order(rng))
        if orders.salt != facts.call.model:  # the public name, so that the splits of two names are independent
            orders = KeptOrders(facts.call.model, candidates, kept)
        return orders.order(value)

    return order
