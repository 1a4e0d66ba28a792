"""Orderings, a file each: `order(candidates, facts, view, rng) -> candidates`.

A strategy returns a permutation of what it was given. Its file's name is its name in the configuration.
"""

from collections.abc import Callable, Sequence
from typing import cast

from pointsman.domain.calls import Facts
from pointsman.domain.targets import Candidate
from pointsman.registry import members
from pointsman.routing.view import Dice, View

Order = Callable[[Sequence[Candidate], Facts, View, Dice], Sequence[Candidate]]

STRATEGIES: dict[str, Order] = {name: cast("Order", order) for name, order in members(__name__, "order")}
