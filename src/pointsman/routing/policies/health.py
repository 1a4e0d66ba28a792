"""A provider and model that kept failing at an operation is tried only if no other is left, until a trial succeeds."""

from pointsman.domain.identity import VirtualKey
from pointsman.domain.operations import Operation
from pointsman.domain.targets import Candidate
from pointsman.domain.verdicts import Reason
from pointsman.routing.health import subject
from pointsman.routing.view import PresentFaults

READS = "conditions"


def live(
    item: Candidate, operation: Operation, key: VirtualKey | None, view: PresentFaults, now: float
) -> Reason | None:
    condition = view.conditions.get(subject(item, operation))
    if condition is None or not condition.is_blocked(now):
        return None
    if condition.is_lacking:
        until = max(condition.blocked_until, condition.trial_until)
        message = f"its server does not support {operation}; it is retried later"
        return Reason("operation_missing", message, is_last_resort=True, until=until)
    if now < condition.blocked_until:
        message = f"failed {condition.failures} times in a row; next trial in {condition.blocked_until - now:.1f} s"
        return Reason("breaker_open", message, is_last_resort=True, until=condition.blocked_until)
    message = f"failed {condition.failures} times in a row; a trial request is in progress"
    return Reason("breaker_trial", message, is_last_resort=True, until=condition.trial_until)
