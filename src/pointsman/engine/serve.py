"""One request from its call to its account, and the attempts of its plan."""

from time import monotonic

from msgspec.structs import replace

from pointsman.domain import failures
from pointsman.domain.calls import Call, Facts
from pointsman.domain.failures import Failure
from pointsman.domain.identity import VirtualKey
from pointsman.domain.plans import Await, GiveUp, NextRound, Plan, Try
from pointsman.engine.answer import BROKEN, ENDING, GONE, ClientAnswer
from pointsman.engine.attempt import Attempt
from pointsman.engine.engine import Engine
from pointsman.engine.listing import FilteredList
from pointsman.engine.ownership import Ownership, is_filtered
from pointsman.engine.record import record_request
from pointsman.engine.room import find_room
from pointsman.engine.uploads import UploadRelay
from pointsman.routing.decide import decide
from pointsman.routing.failover import next_step

INFINITY = float("inf")


class Cancelled(Exception):  # noqa: N818 -- not an error: it is thrown into the waiting request
    """The client disconnected, or the gateway does not wait for the end of the answer."""


async def serve(engine: Engine, answer: ClientAnswer, upload: UploadRelay | None = None) -> None:
    """Serve a request: the steps of docs/architecture.md from the decision on. `Cancelled` ends it from outside. Every
    request is accounted for, however it ends."""
    call, log, listing = answer.call, answer.log, None
    failure: Failure | None = BROKEN
    try:
        now = monotonic()
        if engine.live.exhausted:
            engine.live.forget_exhausted(now)
        plan: Plan | Failure
        place = await _place(engine, call, log.key) if call.state is not None else (call, None)
        if isinstance(place, Failure):
            plan = place
        else:
            call, listing = place
            live, snapshot = engine.live, call.snapshot
            view = live if live.snapshot is snapshot else live.under(snapshot)
            plan = decide(Facts(call, log.key), view, engine.rng, now)
        if isinstance(plan, Failure):
            failure = answer.refuse(GiveUp(plan))
        else:
            log.plan = plan
            failure = await run_plan(engine, answer, call, listing, upload)
    except Cancelled:
        failure = answer.leave()
    except Exception:  # after any error, the client must not wait for an answer
        failure = BROKEN
        answer.fail_with_internal_error()
        raise
    finally:
        record_request(answer, failure)


async def run_plan(
    engine: Engine, answer: ClientAnswer, call: Call, listing: FilteredList | None, upload: UploadRelay | None
) -> Failure | None:
    """Make the attempts of the plan in the log, until one has answered or nothing is left. Return the failure if the
    client has no complete answer."""
    log, plan = answer.log, answer.log.plan
    assert plan is not None
    again: Try | None = None  # a repeat of the same attempt, which the plan does not decide on
    try:
        while True:
            now = monotonic()
            step = again or next_step(plan, log, engine.live, now)
            again = log.due = None
            if isinstance(step, Try):
                attempt = Attempt(engine, log, call, step, answer.claim)
                found = attempt.reserve(call, now)
                if found is not None and log.running:
                    plan = replace(plan, hedge_after_s=None)  # a hedge never waits for room
                elif found is not None and (left_out := await find_room(attempt, found, now)) is not None:
                    log.left_out += (left_out,)
                else:
                    attempt.receiver.is_whole = listing is not None
                    attempt.start(upload)
                    if plan.hedge_after_s is None and not attempt.receiver.is_over:
                        await log.bell  # the next step would nearly always do so
            elif isinstance(step, Await):
                has_rung = await (log.bell if step.delay_s == INFINITY else log.pause(step.delay_s))
                log.due = None if has_rung else step.then
            elif isinstance(step, NextRound):
                await log.pause(step.delay_s)
                log.left_out, log.shortens = (), step.shortens
            else:
                return answer.refuse(step)
            for attempt in [one for one in log.running if one.receiver.is_over]:
                outcome: Failure | Call | None = attempt.settle()
                if outcome is None and listing is not None:
                    outcome = await _take_page(listing, attempt, engine.ownership)
                if isinstance(outcome, Call):
                    call, again = outcome, attempt.step
                elif outcome is None or attempt.has_committed:
                    return answer.finish(attempt, outcome)
                elif outcome.kind is failures.CONNECTION_STALE:
                    again = replace(attempt.step, is_fresh=True)
    except Exception as error:
        gone = GONE if answer.exchange.is_closed else ENDING
        why = gone if isinstance(error, Cancelled) else BROKEN
        for attempt in log.running[:]:
            attempt.cancel(why)
        raise


async def _place(engine: Engine, call: Call, key: VirtualKey | None) -> tuple[Call, FilteredList | None] | Failure:
    """Bind a call that names stored objects to their place. Return the refusal of another owner's objects. A list that
    may hold others' objects is read page by page."""
    placed = await engine.ownership.placed(call, key, call.snapshot)
    if isinstance(placed, Failure) or not is_filtered(placed, call.snapshot):
        return placed if isinstance(placed, Failure) else (placed, None)
    listing = FilteredList(placed)
    first = listing.first(placed)
    return first if isinstance(first, Failure) else (first, listing)


async def _take_page(listing: FilteredList, attempt: Attempt, ownership: Ownership) -> Call | Failure | None:
    """Take the page that an attempt brought. Return the call for the next page, if one is needed."""
    receiver, provider = attempt.receiver, attempt.step.choice.candidate.endpoint.name
    following = await listing.take(attempt.call, receiver.body or b"", provider, ownership, attempt.log.key)
    receiver.body = listing.body
    return following
