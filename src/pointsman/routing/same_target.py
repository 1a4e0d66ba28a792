"""Repeats at the target that failed, before another candidate is tried.

By default there are none, since another candidate answers sooner. Two settings of failover ask for them:

    retry_after_wait_s     the longest `Retry-After` to wait for, once for each key
    same_target_retries    the repeats after an error or a lost connection, each after a pause

A repeat after a failure of the provider spends a token of the retry budgets. Silence and unusable answers are not
repeated here, since the provider may charge for each of them. Nothing is repeated while the breaker of the target is
open, or while its key is blocked for longer than the wait.
"""

from collections.abc import Sequence

from pointsman.domain import failures
from pointsman.domain.failures import Failure, Fault
from pointsman.domain.operations import Operation
from pointsman.domain.outcomes import PastAttempt
from pointsman.domain.plans import Choice, Plan
from pointsman.domain.targets import Candidate, ProviderKey
from pointsman.routing.health import block_of, subject
from pointsman.routing.view import View

# The provider had begun to work before these failures, so each may be charged, and a malformed answer is likely to
# recur. So a candidate is retried once.
REPEATED_ONCE = frozenset(
    {failures.MALFORMED_ANSWER, failures.TRUNCATED, failures.COMMIT_TIMEOUT, failures.STALLED}
    | {failures.STREAM_TOO_LONG}
)

FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 4.0
MAX_DOUBLINGS = 10  # past LONGEST_PAUSE_S, and far below an overflow of a float


def pause_s(repeats: int, jitter: float) -> float:
    """Return the pause before a repeat that follows `repeats` others, in seconds. `jitter`, in [0, 1), spreads it."""
    longest_s: float = min(FIRST_PAUSE_S * 2.0 ** min(repeats, MAX_DOUBLINGS), LONGEST_PAUSE_S)
    return longest_s * (0.75 + 0.5 * jitter)


def was_at_work(failure: Failure) -> bool:
    """Return whether the provider had begun to answer, so that each attempt may be charged."""
    return failure.kind in REPEATED_ONCE or (failure.kind is failures.CONNECTION_LOST and failure.status is not None)


def repeat_here(
    plan: Plan, history: Sequence[PastAttempt], view: View, now: float
) -> tuple[tuple[Choice, ProviderKey], float] | None:
    """Return the choice and key of the last attempt, and the time to repeat it at, if the settings ask for that."""
    failover, last = plan.routing.failover, history[-1]
    if not failover.retry_after_wait_s and not failover.same_target_retries:
        return None
    delay_s = _delay_s(plan, history)
    if delay_s is None or last.failure is None:
        return None
    at = last.ended_at + delay_s
    if at >= plan.deadline or (last.failure.kind.fault is Fault.PROVIDER and not view.may_retry(last.provider, now)):
        return None
    for choice in plan.choices:
        for key in choice.keys:
            if (choice.candidate.id, key.name) == (last.candidate, last.key):
                is_usable = _is_usable(choice.candidate, key, plan.operation, view, max(at, now))
                return ((choice, key), at) if is_usable else None
    return None


def _delay_s(plan: Plan, history: Sequence[PastAttempt]) -> float | None:
    """Return the seconds between the last attempt and its repeat; `None` if there is no repeat."""
    failover, last = plan.routing.failover, history[-1]
    failure = last.failure
    if failure is None or failure.kind.fault not in (Fault.QUOTA, Fault.PROVIDER):
        return None
    here = [one for one in history if one.candidate == last.candidate and one.failure is not None]
    if failure.retry_after_s is not None:
        waits = [one for one in here if one.key == last.key and one.failure and one.failure.retry_after_s is not None]
        is_short = 0 < failover.retry_after_wait_s >= failure.retry_after_s
        return max(failure.retry_after_s, 0.0) if is_short and len(waits) == 1 else None
    failed = [one for one in here if one.failure is not None and one.failure.kind.fault is Fault.PROVIDER]
    if not failed or failure.kind.fault is not Fault.PROVIDER or len(failed) > failover.same_target_retries:
        return None
    if any(one.failure is not None and was_at_work(one.failure) for one in failed):
        return None
    return pause_s(len(failed) - 1, plan.jitter)


def _is_usable(item: Candidate, key: ProviderKey, operation: Operation, view: View, at: float) -> bool:
    """Return whether a candidate and its key are usable at that time, by present knowledge."""
    condition = view.conditions.get(subject(item, operation)) if view.conditions else None
    if condition is not None and condition.is_blocked(at):
        return False
    return block_of(view.key_blocks, item, key.name, at) is None
