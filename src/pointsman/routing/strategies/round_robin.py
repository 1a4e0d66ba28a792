"""One target after another, each in proportion to its weight and as evenly spread as possible.

This is the smooth weighted round robin of nginx. At each turn every target gains its weight as credit. The one with the
most credit comes first and pays the sum of all weights. So weights of 3 and 1 give A A B A instead of A A A B. The
others follow by their credit.

Each set of usable targets has its own turns, which begin with a random target. They go on whenever these targets are
the usable ones again.
"""

from collections.abc import Iterator, Sequence

from msgspec import Struct

from pointsman.domain.calls import Facts
from pointsman.domain.targets import Candidate
from pointsman.routing.ordering import NoSettings, Order, Ordered
from pointsman.routing.view import RandomSource, View
from pointsman.routing.weights import Draw


class TurnNotes(Struct, frozen=True, gc=False):
    """The credits of the candidates at this turn, as shares of the sum of the weights, in their order."""

    candidates: Sequence[Candidate]
    credits: Sequence[float]

    def __iter__(self) -> Iterator[str]:
        for item, one in zip(self.candidates, self.credits, strict=True):
            yield f"{item.id}: credit {one:.3g} before its turn, weight {item.weight:g}"


def strategy(candidates: tuple[Candidate, ...], settings: NoSettings) -> Order:
    heaviest = max([item.weight for item in candidates], default=0.0)
    weights = [item.weight / heaviest if heaviest > 0 else 1.0 for item in candidates]  # their sum is finite
    total = sum(weights)
    owned: list[float] = []

    def order(facts: Facts, view: View, rng: RandomSource, now: float) -> Ordered:
        if len(candidates) < 2:
            return Ordered(candidates)
        if not owned:
            first = candidates.index(Draw(candidates).order(rng)[0])
            owned[:] = [-weight for weight in weights]  # so that this target has all the credit at this turn
            owned[first] += total
        for place, weight in enumerate(weights):
            owned[place] += weight
        turn = list(owned)
        places = sorted(range(len(turn)), key=lambda place: -turn[place])
        owned[places[0]] -= total
        ordered = tuple([candidates[place] for place in places])
        return Ordered(ordered, TurnNotes(ordered, [turn[place] / total for place in places]))

    return order
