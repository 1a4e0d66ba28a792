"""A provider serves only the operations its record lists: absence means unsupported."""

from pointsman.domain.identity import VirtualKey
from pointsman.domain.operations import Operation
from pointsman.domain.plans import Reason
from pointsman.domain.snapshots import Snapshot
from pointsman.domain.targets import Candidate


def static(item: Candidate, operation: Operation, key: VirtualKey | None, snapshot: Snapshot) -> Reason | None:
    if operation in item.endpoint.operations:
        return None
    return Reason("unsupported_operation", f"{item.endpoint.name} does not support {operation}")
