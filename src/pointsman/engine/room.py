"""A second reservation, after limits had no room for an attempt: with its prompt counted, with more leases from
control, or with a shorter answer."""

from collections.abc import Sequence
from time import monotonic

from pointsman.domain.leases import Grant, LeaseUnavailable
from pointsman.domain.plans import Exclusion
from pointsman.domain.verdicts import Reason, Verdict
from pointsman.engine.attempt import Attempt
from pointsman.engine.billing import NotReserved, lease_requests
from pointsman.engine.tasks import Waiter
from pointsman.money.fit import DoesNotFit, ShortenedCall, counted_reason

RETRY_FOR_S = 0.1  # how long to request leases again while other workers may return unused ones
RETRY_PAUSE_S = 0.01
MAX_SHORTENINGS = 4  # other requests may take the room that an answer was shortened to


async def find_room(attempt: Attempt, found: NotReserved, now: float) -> Exclusion | None:
    """Reserve for an attempt that the limits in `found` had no room for. Return `None` if that succeeds. Else return
    the reason to exclude its candidate from this round.

    The prompt is counted, once for all attempts, if its bytes do not fit. `found` is empty if they take a large part of
    a limit. More leases are requested from control as long as other workers may return some. If answers are being
    shortened, the longest answer that may fit is tried.
    """
    before = attempt.call
    exclusion = await _find_room(attempt, found)
    attempt.engine.request_metrics.lease_wait(monotonic() - now)
    if attempt.call is not before and attempt.reserved is not None:
        reason = counted_reason(attempt.reserved.bound.tokens)
        attempt.log.verdicts += (Verdict(attempt.step.choice.candidate.id, "billing", reason),)
    return exclusion


async def _find_room(attempt: Attempt, found: NotReserved | None) -> Exclusion | None:
    accepts_shorter = attempt.log.accepts_shorter
    billing, call = attempt.engine.billing, attempt.call
    lease_client, asked_until, shortenings, shortened = billing.lease_client, monotonic() + RETRY_FOR_S, 0, None
    while isinstance(found, list):
        if not found or billing.may_fit_counted(attempt.billing_terms, call, found, monotonic()):
            attempt.call = call = await attempt.engine.prompts.count(call)
            found = attempt.reserve(call, monotonic())
            continue
        if lease_client is not None and not billing.is_spent(found, monotonic()):
            answer: Waiter[Sequence[Grant] | LeaseUnavailable] = Waiter()
            lease_client.ask(lease_requests(found), answer.set)
            grants = await answer
            if isinstance(grants, LeaseUnavailable):
                names = ", ".join(str(shortfall.limit) for shortfall in found)
                message = f"the remaining amount of the {names} is unknown now: {grants.reason}; retry later"
                return _exclude(attempt, Reason("budget_unavailable", message))
            billing.note_grants(grants, monotonic())
            found = attempt.reserve(call, monotonic())
            if not isinstance(found, list):
                break
            if any(grant.leased_elsewhere for grant in grants) and not accepts_shorter and monotonic() < asked_until:
                await attempt.log.pause(RETRY_PAUSE_S)
                continue
        outcome = billing.fit(
            attempt.billing_terms,
            call,
            found,
            monotonic(),
            accepts_shorter=accepts_shorter and shortenings < MAX_SHORTENINGS,
        )
        if isinstance(outcome, ShortenedCall) and not attempt.can_send(outcome.call):
            refused = billing.fit(attempt.billing_terms, call, found, monotonic(), accepts_shorter=False)
            return _exclude(attempt, refused.reason)
        if isinstance(outcome, DoesNotFit):
            return _exclude(
                attempt, outcome.reason, may_fit=outcome.may_fit, fits_if_shortened=outcome.fits_if_shortened
            )
        shortened, call, shortenings = outcome, outcome.call, shortenings + 1
        found = attempt.reserve(call, monotonic())
    if found is not None:
        return _exclude(attempt, found)
    if call is not attempt.call:
        attempt.shortened = shortened
    return None


def _exclude(attempt: Attempt, reason: Reason, *, may_fit: bool = False, fits_if_shortened: bool = False) -> Exclusion:
    candidate = attempt.step.choice.candidate
    return Exclusion(candidate, Verdict(candidate.id, "billing", reason), may_fit, fits_if_shortened)
