"""A provider whose connections are all in use is tried only if no other is left: the request would wait."""

from pointsman.domain.identity import VirtualKey
from pointsman.domain.operations import Operation
from pointsman.domain.targets import Candidate
from pointsman.domain.verdicts import Reason
from pointsman.routing.view import PresentFaults

READS = "saturated"


def live(
    item: Candidate, operation: Operation, key: VirtualKey | None, view: PresentFaults, now: float
) -> Reason | None:
    endpoint = item.endpoint
    if (endpoint.network, endpoint.origin) not in view.saturated:
        return None
    message = f"every connection to {endpoint.name} is in use, so a request would have to wait for one"
    return Reason("no_connection_free", message, is_last_resort=True)
