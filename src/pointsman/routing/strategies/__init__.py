"""Orders of candidates, one in each file: `strategy(candidates, settings)` makes the `order(facts, view, rng, now)`
of some candidates.

An order is a permutation of the candidates. It is made once for the remaining candidates of a model, so results that
depend on their weights are computed then. It is called for every request, and reads the live state there. The type of
`settings` is the schema of the configuration beside the strategy's name, which is that of its file with hyphens. A
strategy may also define `ceiling(settings)`: candidates whose expected cost is not known to be within it are left
out. With `LEARNS` set, attempts are observed for it.
"""

from collections.abc import Callable
from typing import cast, get_type_hints

from msgspec import Struct

from pointsman.domain.targets import Candidate
from pointsman.registry import modules
from pointsman.routing.costs import Ceiling
from pointsman.routing.ordering import Order

Ceilings = Callable[[object], Ceiling | None]


class StrategyKind(Struct, frozen=True):
    """A strategy of this version, and the type of its settings. `ceiling` returns the ceiling of cost that settings
    require, if the strategy has one. If it `learns`, the attempts of its plans are noted in `view.paces`."""

    make: Callable[[tuple[Candidate, ...], object], Order]
    settings: type[Struct]
    ceiling: Ceilings | None = None
    learns: bool = False


STRATEGIES = {
    name.replace("_", "-"): StrategyKind(
        cast("Callable[[tuple[Candidate, ...], object], Order]", module.strategy),
        get_type_hints(module.strategy)["settings"],
        cast("Ceilings | None", getattr(module, "ceiling", None)),
        bool(getattr(module, "LEARNS", False)),
    )
    for name, module in modules(__name__)
}
