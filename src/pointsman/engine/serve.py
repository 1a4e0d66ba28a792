"""One request from its call to its record, and the attempts of its plan."""

from time import monotonic, time

from pointsman.domain import failures
from pointsman.domain.calls import Call, Facts
from pointsman.domain.plans import GiveUp, Plan
from pointsman.engine.answer import BROKEN, ClientAnswer
from pointsman.engine.engine import Engine
from pointsman.engine.facts import decide_by_rules, decide_with_media
from pointsman.engine.keeping import begin_copy, note_bodies
from pointsman.engine.listing import FilteredList
from pointsman.engine.mirror import copy_for, keep_answer, start_copy
from pointsman.engine.ownership import is_filtered
from pointsman.engine.record import record_request
from pointsman.engine.run_plan import run_plan
from pointsman.engine.tasks import Cancelled
from pointsman.engine.uploads import UploadRelay
from pointsman.routing.decide import decide


async def serve(engine: Engine, answer: ClientAnswer, upload: UploadRelay | None = None) -> None:
    """Serve a request: the steps of docs/architecture.md from the decision on. `Cancelled` is thrown into it to end it.
    Every request is recorded, even after an error."""
    call, log, listing, copy = answer.call, answer.log, None, None
    kept = begin_copy(answer) if call.snapshot.bodies is not None else None
    failure: failures.Failure | None = BROKEN
    try:
        now = monotonic()
        if engine.live.exhausted:
            engine.live.forget_exhausted(now)
        plan: Plan | failures.Failure | None = None
        if call.state is not None:
            pinned = await _pin_to_objects(engine, answer)
            if isinstance(pinned, failures.Failure):
                plan = pinned
            else:
                call, listing = pinned
        if plan is None:
            live, snapshot = engine.live, call.snapshot
            view = live if live.snapshot is snapshot else live.with_snapshot(snapshot)
            if snapshot.rules or snapshot.logged_facts:
                plan = await decide_by_rules(engine, answer, call, view, now)
            else:
                plan = decide(Facts(call, log.key, time()), view, engine.rng, now)
            if isinstance(plan, failures.Failure):
                call, plan = await decide_with_media(engine, answer, call, plan)
        log.rules = plan.rules
        if isinstance(plan, failures.Failure):
            is_answered = plan.kind is failures.NOT_SUPPORTED and answer.send_own()
            failure = None if is_answered else answer.reject(GiveUp(plan))
        else:
            log.plan = plan
            copied = keep_answer(answer) if plan.mirror is not None else None
            failure = await run_plan(engine, answer, plan.call or call, listing, upload)
            if copied is not None and failure is None:
                copy = copy_for(answer, plan.call or call, copied)
    except Cancelled:
        failure = answer.end_cancelled()
    except Exception:  # after any error, the client must not wait for an answer
        failure = BROKEN
        answer.fail_with_internal_error()
        raise
    finally:
        record_request(answer, failure)
        if kept is not None:
            note_bodies(answer, kept)
    if copy is not None:
        start_copy(engine, copy)


async def _pin_to_objects(engine: Engine, answer: ClientAnswer) -> tuple[Call, FilteredList | None] | failures.Failure:
    """Pin a call that names stored objects to the provider key that stores them. Return a failure if they belong to
    another owner. A list that may contain other owners' objects is read page by page."""
    call = answer.call
    pinned = await engine.ownership.pin_call(call, answer.log.key, call.snapshot)
    if isinstance(pinned, failures.Failure) or not is_filtered(pinned, call.snapshot):
        return pinned if isinstance(pinned, failures.Failure) else (pinned, None)
    listing = FilteredList(pinned)
    first = listing.first(pinned)
    return first if isinstance(first, failures.Failure) else (first, listing)
