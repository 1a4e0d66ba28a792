"""The order of the configuration: the first target serves, the others are its fallbacks."""

from pointsman.domain.targets import Candidate
from pointsman.routing.ordering import NoSettings, Order, Ordered


def strategy(candidates: tuple[Candidate, ...], settings: NoSettings) -> Order:
    ordered = Ordered(candidates)
    return lambda facts, view, rng, now: ordered
