"""A provider is usable only with a key that serves the model."""

from pointsman.domain.identity import VirtualKey
from pointsman.domain.operations import Operation
from pointsman.domain.plans import Reason
from pointsman.domain.snapshots import Snapshot
from pointsman.domain.targets import Candidate


def static(item: Candidate, operation: Operation, key: VirtualKey | None, snapshot: Snapshot) -> Reason | None:
    if item.keys:
        return None
    entry = key.entries.get(item.endpoint.name) if key is not None else None
    if entry is not None and entry.keys is not None:
        return None  # the virtual key may use some keys only: the policy on rights reports it
    return Reason("no_key", f"no key of {item.endpoint.name} serves {item.model}")
