"""The attempts of a plan, one after another or two at once, as `routing.failover` decides on each step."""

from time import monotonic

from msgspec.structs import replace

from pointsman.domain import failures
from pointsman.domain.calls import NO_MEDIA, Call
from pointsman.domain.plans import Await, NextRound, Try
from pointsman.engine.answer import BROKEN, ENDING, GONE, ClientAnswer
from pointsman.engine.attempt import Attempt
from pointsman.engine.continuing import continue_stream
from pointsman.engine.engine import Engine
from pointsman.engine.facts import plan_with_media
from pointsman.engine.listing import FilteredList
from pointsman.engine.receiver import SUPERSEDED
from pointsman.engine.request_log import RequestLog
from pointsman.engine.room import find_room
from pointsman.engine.tasks import Cancelled
from pointsman.engine.uploads import UploadRelay
from pointsman.routing.failover import next_step

INFINITY = float("inf")


async def run_plan(
    engine: Engine, answer: ClientAnswer, call: Call, listing: FilteredList | None, upload: UploadRelay | None
) -> failures.Failure | None:
    """Make the attempts of the plan in the log, until one has answered or no candidate is left. Return the failure if
    the client has no complete answer."""
    log, plan = answer.log, answer.log.plan
    assert plan is not None
    whole_call = call  # without the text of a stream that broke off
    has_media = call.media is not NO_MEDIA and bool(plan.verdicts)
    again: Try | None = None  # a repeat of the same attempt, which the plan does not decide on
    try:
        while True:
            now = monotonic()
            step = again or next_step(plan, log, engine.live, now)
            again = log.due = None
            is_stuck = has_media and (not isinstance(step, Try) or step.is_repeat)
            if is_stuck and (more := await plan_with_media(engine, answer, call, plan)) is not None:
                call, plan = more
                whole_call = call
                continue
            if isinstance(step, Try):
                attempt = Attempt(engine, log, call, step, answer.claim)
                found = attempt.reserve(attempt.call, now)
                if found is not None and log.running:
                    plan = replace(plan, hedging=None)  # a hedge never waits for room
                elif found is not None and (exclusion := await find_room(attempt, found, now)) is not None:
                    log.excluded += (exclusion,)
                else:
                    attempt.receiver.is_whole = listing is not None
                    attempt.start(upload)
                    if plan.hedging is None and not attempt.receiver.is_over:
                        await log.bell  # a shortcut, since the next step is nearly always to wait
                call = attempt.call  # its prompt may be counted now
            elif isinstance(step, Await | NextRound):
                await _pause(log, step)
            else:
                return answer.give_up(step)
            for attempt in [one for one in log.running if one.receiver.is_over]:
                outcome: failures.Failure | Call | None = attempt.settle()
                if outcome is None and listing is not None:
                    outcome = await _take_page(listing, attempt)
                if isinstance(outcome, Call):
                    call, again = outcome, attempt.step
                elif outcome is None or attempt.has_committed:
                    _cancel_all(log, SUPERSEDED)  # the probe of a race may still run
                    rest = continue_stream(answer, attempt, outcome, plan, whole_call)
                    if rest is None:
                        return answer.finish(attempt, outcome)
                    plan, call = rest
                elif outcome.kind is failures.CONNECTION_STALE:
                    again = replace(attempt.step, is_fresh=True)
    except Exception as error:  # after any error, no attempt may go on without its request
        cancelled = GONE if answer.exchange.is_closed else ENDING
        _cancel_all(log, cancelled if isinstance(error, Cancelled) else BROKEN)
        raise


async def _pause(log: RequestLog[Attempt], step: Await | NextRound) -> None:
    if isinstance(step, NextRound):
        await log.pause(step.delay_s)
        log.excluded, log.accepts_shorter = (), step.accepts_shorter
    else:
        has_rung = await (log.bell if step.delay_s == INFINITY else log.pause(step.delay_s))
        log.due = None if has_rung else step.then


def _cancel_all(log: RequestLog[Attempt], failure: failures.Failure) -> None:
    for attempt in log.running[:]:
        attempt.cancel(failure)


async def _take_page(listing: FilteredList, attempt: Attempt) -> Call | failures.Failure | None:
    """Take the page that an attempt received. Return the call for the next page, if one is needed."""
    ownership = attempt.engine.ownership
    receiver, provider = attempt.receiver, attempt.step.choice.candidate.endpoint.name
    following = await listing.take(attempt.call, receiver.body or b"", provider, ownership, attempt.log.key)
    receiver.body = listing.body
    return following
