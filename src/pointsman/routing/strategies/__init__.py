"""Orderings, a file each: `strategy(candidates, settings)` makes the `order(facts, view, rng, now)` of some candidates.

An order is a permutation of the candidates. It is made once for the remaining candidates of a model, so results that
depend on their weights are computed then. It is called for every request, and reads the live state there. The type of
`settings` is the schema of the configuration beside the strategy's name, which is that of its file.
"""

from collections.abc import Callable
from typing import cast, get_type_hints

from msgspec import Struct

from pointsman.domain.targets import Candidate
from pointsman.registry import members
from pointsman.routing.ordering import Order


class StrategyKind(Struct, frozen=True):
    """A strategy of this version, and the type of its settings."""

    make: Callable[[tuple[Candidate, ...], object], Order]
    settings: type[Struct]


STRATEGIES = {
    name: StrategyKind(cast("Callable[[tuple[Candidate, ...], object], Order]", make), get_type_hints(make)["settings"])
    for name, make in members(__name__, "strategy")
}
