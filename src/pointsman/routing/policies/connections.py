"""A provider to which every connection is in use is asked only when nobody else is left: the request would wait."""

from pointsman.domain.identity import VirtualKey
from pointsman.domain.operations import Operation
from pointsman.domain.plans import Reason
from pointsman.domain.targets import Candidate
from pointsman.routing.view import Troubles


def live(
    candidate: Candidate,
    operation: Operation,  # noqa: ARG001
    key: VirtualKey | None,  # noqa: ARG001
    troubles: Troubles,
    now: float,  # noqa: ARG001
) -> Reason | None:
    endpoint = candidate.endpoint
    if not troubles.crowded or (endpoint.network, endpoint.origin) not in troubles.crowded:
        return None
    message = f"every connection to {endpoint.name} is in use, so a request would have to wait for one"
    return Reason("no_connection_free", message, is_last_resort=True)
