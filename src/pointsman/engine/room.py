"""Room for an attempt in limits that have none at first: requested from control, or found for a shorter answer."""

from collections.abc import Sequence
from time import monotonic

from pointsman.domain.leases import Grant, LeaseUnavailable
from pointsman.domain.plans import LeftOut, Reason, Verdict
from pointsman.engine.attempt import Attempt
from pointsman.engine.billing import NoRoom, wants
from pointsman.engine.tasks import Waiter
from pointsman.money.fit import DoesNotFit

LENT_S = 0.1  # how long to wait for others to return unused leases of a limit
RECALL_S = 0.01  # the pause before control is asked again
SHORTENINGS = 4  # how often others may take the room of a shortened answer


async def find_room(attempt: Attempt, found: NoRoom, now: float) -> LeftOut | None:
    """Reserve for an attempt that had no room, for the reason `found`. Return why its candidate is left out, if it is.

    Control is asked for room for as long as others may return some. If answers are being shortened, the longest answer
    that may have room is tried.
    """
    left_out = await _find_room(attempt, found)
    attempt.engine.request_metrics.lease_wait(monotonic() - now)
    return left_out


async def _find_room(attempt: Attempt, found: NoRoom | None) -> LeftOut | None:
    shortens = attempt.log.shortens
    billing, call = attempt.engine.billing, attempt.call
    lease_client, asked_until, shortenings, shortened = billing.lease_client, monotonic() + LENT_S, 0, None
    while isinstance(found, list):
        if lease_client is not None and not billing.is_spent(found, monotonic()):
            answer: Waiter[Sequence[Grant] | LeaseUnavailable] = Waiter()
            lease_client.ask(wants(found), answer.set)
            grants = await answer
            if isinstance(grants, LeaseUnavailable):
                names = ", ".join(str(short.limit) for short in found)
                message = f"control cannot tell the remaining amount of the {names} now: {grants.reason}"
                return _left_out(attempt, Reason("budget_unavailable", message))
            billing.answered(grants, monotonic())
            found = attempt.reserve(call, monotonic())
            if not isinstance(found, list):
                break
            if any(grant.leased_elsewhere for grant in grants) and not shortens and monotonic() < asked_until:
                await attempt.log.pause(RECALL_S)
                continue
        outcome = billing.fit(attempt.tab, call, found, monotonic(), shortens=shortens and shortenings < SHORTENINGS)
        if isinstance(outcome, DoesNotFit):
            return _left_out(attempt, outcome.reason, may_fit=outcome.may_fit, may_shorten=outcome.may_shorten)
        shortened, call, shortenings = outcome, outcome.call, shortenings + 1
        found = attempt.reserve(call, monotonic())
    if found is not None:
        return _left_out(attempt, found)
    if call is not attempt.call:
        attempt.shortened = shortened
    return None


def _left_out(attempt: Attempt, reason: Reason, *, may_fit: bool = False, may_shorten: bool = False) -> LeftOut:
    candidate = attempt.step.choice.candidate
    return LeftOut(candidate, Verdict(candidate.id, "billing", reason), may_fit, may_shorten)
