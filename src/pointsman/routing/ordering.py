"""The seam of strategies: what they are given, and the order they answer with."""

from collections.abc import Callable

from msgspec import Struct

from pointsman.domain.calls import Facts
from pointsman.domain.targets import Candidate
from pointsman.routing.view import Dice, View


class Ordered(Struct, frozen=True, gc=False):
    """An order of candidates. `notes` say why it is this one, for people."""

    candidates: tuple[Candidate, ...]
    notes: tuple[str, ...] = ()


Order = Callable[[Facts, View, Dice, float], Ordered]


class NoSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """The settings of a strategy that has none."""
