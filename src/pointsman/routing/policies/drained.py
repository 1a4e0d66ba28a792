"""A target of weight zero gets no traffic: a weight of zero drains a target without removing it."""

from pointsman.domain.targets import Candidate
from pointsman.domain.verdicts import Reason
from pointsman.routing.policies import Asker


def static(item: Candidate, asker: Asker) -> Reason | None:
    return None if item.weight > 0 else Reason("drained", "its weight is 0")
