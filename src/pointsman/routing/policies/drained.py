"""A target of weight zero gets no traffic: a weight of zero drains a target without removing it."""

from pointsman.domain.identity import VirtualKey
from pointsman.domain.operations import Operation
from pointsman.domain.plans import Reason
from pointsman.domain.snapshots import Snapshot
from pointsman.domain.targets import Candidate


def static(item: Candidate, operation: Operation, key: VirtualKey | None, snapshot: Snapshot) -> Reason | None:
    return None if item.weight > 0 else Reason("drained", "its weight is 0")
