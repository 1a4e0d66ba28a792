"""A provider serves only the operations its record lists: absence means unsupported."""

from pointsman.domain.calls import Facts
from pointsman.domain.plans import Reason
from pointsman.domain.targets import Candidate
from pointsman.routing.view import View


def check(candidate: Candidate, facts: Facts, view: View, now: float) -> Reason | None:  # noqa: ARG001
    operation = facts.call.operation
    if operation in candidate.endpoint.operations:
        return None
    return Reason("unsupported_operation", f"{candidate.endpoint.name} does not support {operation.value}")
