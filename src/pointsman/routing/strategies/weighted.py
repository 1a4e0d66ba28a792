"""Drawn at random in proportion to the weights, which need not sum to 1; the rest follow by descending weight."""

from collections.abc import Sequence

from pointsman.domain.calls import Facts
from pointsman.domain.targets import Candidate
from pointsman.routing.view import Dice, View
from pointsman.routing.weights import weighted_order


def order(
    candidates: Sequence[Candidate],
    facts: Facts,  # noqa: ARG001
    view: View,  # noqa: ARG001
    rng: Dice,
) -> Sequence[Candidate]:
    return weighted_order(tuple(candidates), rng)
