"""In the order they are written: the first target serves, the others are its fallbacks."""

from collections.abc import Sequence

from pointsman.domain.calls import Facts
from pointsman.domain.targets import Candidate
from pointsman.routing.view import Dice, View


def order(
    candidates: Sequence[Candidate],
    facts: Facts,  # noqa: ARG001
    view: View,  # noqa: ARG001
    rng: Dice,  # noqa: ARG001
) -> Sequence[Candidate]:
    return candidates
