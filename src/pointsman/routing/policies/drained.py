"""A target of weight zero gets no traffic: that is how a target is taken out without removing it."""

from pointsman.domain.calls import Facts
from pointsman.domain.plans import Reason
from pointsman.domain.targets import Candidate
from pointsman.routing.view import View


def check(candidate: Candidate, facts: Facts, view: View, now: float) -> Reason | None:  # noqa: ARG001
    if candidate.weight > 0:
        return None
    return Reason("drained", "its weight is 0")
