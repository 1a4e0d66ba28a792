"""A provider serves only the operations its record lists: absence means unsupported."""

from pointsman.domain.targets import Candidate
from pointsman.domain.verdicts import Reason
from pointsman.routing.policies import Asker


def static(item: Candidate, asker: Asker) -> Reason | None:
    if asker.operation in item.endpoint.operations:
        return None
    return Reason("unsupported_operation", f"{item.endpoint.name} does not support {asker.operation}")
