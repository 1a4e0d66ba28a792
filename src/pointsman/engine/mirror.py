"""Sends copies of requests to the mirror of their public name, and compares the answers.

A copy starts when its request is over, so it costs the client no time. It is a request of its own, with its own record:
`mirror_of` names the request, and `compared` has the comparison. A copy that finds no room in a limit, or that fails,
is recorded with the reason and not repeated.
"""

import re
from time import monotonic, time

from msgspec import Struct

from pointsman.domain import failures
from pointsman.domain.calls import Call, Facts
from pointsman.domain.plans import GiveUp, Plan
from pointsman.domain.records import Comparison, record_of
from pointsman.engine.answer import BROKEN, ClientAnswer
from pointsman.engine.copied_answer import AnswerCopy, exchange_like
from pointsman.engine.engine import Engine
from pointsman.engine.ids import RequestIds
from pointsman.engine.record import record_request
from pointsman.engine.request_log import RequestLog
from pointsman.engine.run_plan import run_plan
from pointsman.engine.tasks import Cancelled, EagerTask
from pointsman.routing.decide import decide_copy
from pointsman.routing.mirrors import copy_of, key_of_copies
from pointsman.wire.answer_parts import AnswerParts, answer_parts

MOST_COPIES = 100  # at once; more are skipped and counted
_WORD = re.compile(r"\w+")


class CopiedRequest(Struct, frozen=True, eq=False):
    """A request that was served, for its mirror: its copy, and its own answer to compare with."""

    call: Call
    plan: Plan
    answer: ClientAnswer
    body: bytes | None
    compared: Comparison

    @property
    def name(self) -> str:
        """The public name that the mirror belongs to."""
        return self.plan.mirror.name if self.plan.mirror is not None else ""


def copy_for(answer: ClientAnswer, call: Call, copy: AnswerCopy) -> CopiedRequest | None:
    """Return the copy of a request that was served, with the facts of its answer."""
    log, plan, served_by = answer.log, answer.log.plan, answer.log.served_by
    if plan is None or plan.mirror is None or served_by is None:
        return None
    receiver, candidate = served_by.receiver, served_by.step.choice.candidate
    usage, committed_at = receiver.used(), receiver.committed_at
    compared = Comparison(
        provider=candidate.endpoint.name,
        model=candidate.model,
        cost_nano=sum(one.cost_nano for one in log.records),
        duration_us=int((monotonic() - log.received_at) * 1e6),
        tokens_out=usage.tokens_out if usage is not None else None,
        ttft_us=int((committed_at - log.received_at) * 1e6) if committed_at and receiver.is_stream else None,
    )
    return CopiedRequest(copy_of(call, plan.mirror, plan.require), plan, answer, copy.body, compared)


def keep_answer(answer: ClientAnswer) -> AnswerCopy:
    """Keep a copy of the answer that a client will get."""
    copy = AnswerCopy()
    answer.wrap_by(copy.tee)
    return copy


def start_copy(engine: Engine, copied: CopiedRequest) -> None:
    """Send a copy, unless too many are in progress."""
    copies = engine.copies
    copies -= {task for task in copies if task.is_done}
    if len(copies) >= MOST_COPIES:
        engine.request_metrics.mirrored(copied.name, "skipped")
        return
    task = EagerTask(_serve(engine, copied), Cancelled)
    copies.add(task)
    task.resume()


async def _serve(engine: Engine, copied: CopiedRequest) -> None:
    """Serve a copy, like a request without a client. It is recorded even after an error."""
    call, original, now = copied.call, copied.answer, monotonic()
    mirror = copied.plan.mirror
    assert mirror is not None
    key = key_of_copies(mirror, original.log.key, call.snapshot)
    record = record_of(call.head, original.exchange.head.path, key)
    record.mirror_of, record.compared = original.log.request_id, copied.compared
    exchange, request_id = exchange_like(original.exchange, now), RequestIds(engine.rng).new(time())
    trace = original.log.trace
    answer = ClientAnswer(
        engine,
        exchange,
        call,
        RequestLog(request_id=request_id, received_at=now, key=key, record=record, trace=trace),
        b"",
    )
    copy = keep_answer(answer)
    failure: failures.Failure | None = BROKEN
    try:
        snapshot = call.snapshot
        view = engine.live if engine.live.snapshot is snapshot else engine.live.with_snapshot(snapshot)
        plan = decide_copy(Facts(call, key, time()), view, engine.rng, now)
        if isinstance(plan, failures.Failure):
            failure = answer.reject(GiveUp(plan))
        else:
            answer.log.plan = plan
            failure = await run_plan(engine, answer, call, None, None)
    except Cancelled:
        failure = answer.end_cancelled()
    finally:
        result = _compare(copied, copy.body) if failure is None else "failed"
        engine.request_metrics.mirrored(copied.name, result)
        record_request(answer, failure)


def _compare(copied: CopiedRequest, body: bytes | None) -> str:
    """Compare the two answers. Return the result for the metric."""
    call, compared = copied.call, copied.compared
    theirs, ours = (
        answer_parts(call.head.dialect, one, stream=call.stream) if one is not None else None
        for one in (copied.body, body)
    )
    if theirs is None or ours is None:
        return "unread"
    compared.same = theirs == ours
    compared.same_tools = [name for name, _ in theirs.tools] == [name for name, _ in ours.tools]
    compared.similarity = round(_similarity(theirs, ours), 3)
    compared.finish, compared.mirror_finish = theirs.finish, ours.finish
    return "same" if compared.same else "different"


def _similarity(one: AnswerParts, other: AnswerParts) -> float:
    """Return the share of the words of both texts that both have, from 0 to 1."""
    words, others = set(_WORD.findall(one.text.lower())), set(_WORD.findall(other.text.lower()))
    every = words | others
    return len(words & others) / len(every) if every else 1.0
