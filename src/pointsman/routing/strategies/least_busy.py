"""The target with the fewest running attempts for its weight first. Each worker counts its own."""

from pointsman.domain.calls import Facts
from pointsman.domain.targets import Candidate
from pointsman.routing.ordering import NoSettings, Order, Ordered
from pointsman.routing.view import RandomSource, View


def strategy(candidates: tuple[Candidate, ...], settings: NoSettings) -> Order:
    def order(facts: Facts, view: View, rng: RandomSource, now: float) -> Ordered:
        running = view.in_progress
        # The next attempt counts too, so that a heavier target gets more requests even if all are idle.
        ranked = [
            ((running.get(item.id, 0) + 1) / item.weight if item.weight > 0 else float("inf"), rng.random(), place)
            for place, item in enumerate(candidates)
        ]
        ranked.sort()
        return Ordered(tuple([candidates[place] for _, _, place in ranked]))

    return order
