"""The failure of a plan as a whole: the client's answer if no attempt succeeded."""

from collections.abc import Sequence
from math import inf

from pointsman.domain import failures
from pointsman.domain.failures import Failure, Fault, Kind
from pointsman.domain.outcomes import PastAttempt
from pointsman.domain.plans import GiveUp, Plan
from pointsman.routing.health import block_of
from pointsman.routing.view import View


def blocked_failure(plan: Plan, view: View, now: float) -> Failure:
    """Return the failure of a plan without a usable key, with the time until one is usable if a limit is the cause."""
    reasons: list[str] = []
    until: list[float] = []
    for choice in plan.choices:
        for key in choice.keys:
            block = block_of(view.key_blocks, choice.candidate, key.name, now)
            if block is not None:
                left = f" (blocked for another {max(block.until - now, 0):.0f} s)" if block.until < inf else ""
                reasons.append(f"{choice.candidate.id} (key {key.name}): {block.failure.message}{left}")
                if block.failure.kind.fault is Fault.QUOTA:
                    until.append(block.until)
            elif (short := view.quotas.shortage(choice.candidate, key.name, plan.need, now)) is not None:
                reasons.append(f"{choice.candidate.id}: {short}")
                until.append(now + short.wait_s)
    planned = {choice.candidate.id for choice in plan.choices}
    reasons += [f"{one.candidate}: {one.reason.message}" for one in plan.verdicts if one.candidate not in planned]
    message = "no provider key is usable now. " + "; ".join(reasons)
    if until:
        return Failure(failures.UPSTREAM_RATE_LIMITED, message, retry_after_s=max(min(until) - now, 0.0))
    return Failure(failures.NO_TARGET, message)


def give_up(history: Sequence[PastAttempt]) -> GiveUp:
    """Return the failure of the plan as a whole: each provider tried, its answer and its time."""
    failed = [attempt.failure for attempt in history if attempt.failure is not None]
    if failed[-1].kind.fault in (Fault.REQUEST, Fault.CLIENT):
        return GiveUp(failed[-1])  # with the provider's message, since no other candidate was left
    count = "the only attempt failed" if len(history) == 1 else f"all {len(history)} attempts failed"
    kinds = {failure.kind for failure in failed}
    retry_after = [failure.retry_after_s for failure in failed if failure.retry_after_s is not None]
    if all(failure.kind.fault is Fault.QUOTA for failure in failed):
        kind: Kind = failures.UPSTREAM_RATE_LIMITED
    elif len(kinds) == 1:
        kind = kinds.pop()
    else:
        kind = failures.ALL_ATTEMPTS_FAILED
    is_quota = kind is failures.UPSTREAM_RATE_LIMITED
    failure = Failure(
        kind,
        f"{count}. {_summary(history, for_client=False)}",
        retry_after_s=min(retry_after) if retry_after and is_quota else None,
        client_message=f"{count}. {_summary(history, for_client=True)}",
    )
    return GiveUp(failure, should_retry=is_quota)


def _summary(history: Sequence[PastAttempt], *, for_client: bool) -> str:
    """Return each provider tried, the time it took and its outcome, for the client or for the record."""
    parts = []
    for attempt in history:
        failure = attempt.failure
        outcome = "succeeded" if failure is None else failure.for_client if for_client else failure.message
        parts.append(
            f"{attempt.candidate} (key {attempt.key}, {attempt.ended_at - attempt.started_at:.2f} s): {outcome}"
        )
    return "; ".join(parts)
