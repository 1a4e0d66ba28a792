"""Orderings, a file each: `strategy(candidates, settings)` makes the `order(facts, view, rng, now)` of some candidates.

An order is a permutation of the candidates. It is made once for the candidates that are left of a model, so what
follows from their weights is worked out then; it is asked for every request, and reads the live state there. The type
of `settings` is the schema of what the configuration may say beside the strategy's name, which is that of its file.
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
