"""The interface of strategies: their arguments, and the order they return."""

from collections.abc import Callable

from msgspec import Struct

from pointsman.domain.calls import Facts
from pointsman.domain.targets import Candidate
from pointsman.routing.view import Dice, View


class Ordered(Struct, frozen=True, gc=False):
    """An order of candidates. `notes` explain the order to people."""

    candidates: tuple[Candidate, ...]
    notes: tuple[str, ...] = ()


Order = Callable[[Facts, View, Dice, float], Ordered]


class NoSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """The settings of a strategy that has none."""
