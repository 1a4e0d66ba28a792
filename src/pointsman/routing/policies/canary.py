"""An aborted canary is tried only if no other candidate is left: it did worse than the other targets of its name."""

from pointsman.domain.identity import VirtualKey
from pointsman.domain.operations import Operation
from pointsman.domain.targets import Candidate
from pointsman.domain.verdicts import Reason
from pointsman.routing.view import PresentFaults

READS = "aborted"


def live(
    item: Candidate, operation: Operation, key: VirtualKey | None, view: PresentFaults, now: float
) -> Reason | None:
    if item.arm is None:
        return None
    found = view.aborted.get(item.arm)
    if found is None or now >= found.until:
        return None
    return Reason("canary_aborted", f"the canary is aborted: {found.reason}", is_last_resort=True, until=found.until)
