"""A provider to which every connection is in use is asked only when nobody else is left: the request would wait."""

from pointsman.domain.calls import Facts
from pointsman.domain.plans import Reason
from pointsman.domain.targets import Candidate
from pointsman.routing.view import View


def check(candidate: Candidate, facts: Facts, view: View, now: float) -> Reason | None:  # noqa: ARG001
    if not view.crowded:
        return None
    endpoint = candidate.endpoint
    if (endpoint.network, endpoint.origin) not in view.crowded:
        return None
    message = f"every connection to {endpoint.name} is in use, so a request would have to wait for one"
    return Reason("no_connection_free", message, is_last_resort=True)
