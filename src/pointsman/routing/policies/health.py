"""A provider and model that kept failing is used only when nothing else is left, until a trial succeeds."""

from pointsman.domain.calls import Facts
from pointsman.domain.plans import Reason
from pointsman.domain.targets import Candidate
from pointsman.routing.view import View


def check(candidate: Candidate, facts: Facts, view: View, now: float) -> Reason | None:  # noqa: ARG001
    conditions = view.conditions
    if not conditions:
        return None
    condition = conditions.get(candidate.id)
    if condition is None or not condition.is_blocked(now):
        return None
    if now < condition.blocked_until:
        message = f"failed {condition.failures} times in a row; next trial in {condition.blocked_until - now:.1f} s"
        return Reason("breaker_open", message, is_last_resort=True, until=condition.blocked_until)
    message = f"failed {condition.failures} times in a row; another request is trying it now"
    return Reason("breaker_trial", message, is_last_resort=True, until=condition.trial_until)
