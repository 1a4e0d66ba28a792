"""A random draw in proportion to the weights, which need not sum to 1. The rest follow by descending weight."""

from pointsman.domain.targets import Candidate
from pointsman.routing.ordering import NoSettings, Order, Ordered
from pointsman.routing.weights import Draw


def strategy(candidates: tuple[Candidate, ...], settings: NoSettings) -> Order:
    draw = Draw(candidates)
    return lambda facts, view, rng, now: Ordered(draw.order(rng))
