"""The continuation of a stream that broke off after its first content (`failover.stream_recovery: continue`).

The request for the rest ends with the text so far, so it goes only to candidates of the plan whose model continues such
a text. Everything else is as for any attempt: rights, requirements, policies, keys, limits and health.
"""

from collections.abc import Callable

from msgspec import Raw
from msgspec.structs import replace

from pointsman.domain import failures
from pointsman.domain.calls import Call
from pointsman.domain.failures import Failure, Fault, Rejection
from pointsman.domain.plans import Plan
from pointsman.domain.targets import Candidate
from pointsman.routing.hedging import may_be_sent_twice
from pointsman.wire.delivered import is_plain
from pointsman.wire.dialects import DIALECTS
from pointsman.wire.translation import does_reason, translate
from pointsman.wire.upstreams import Upstream

MOST_CONTINUATIONS = 2  # of one answer
_BREAKS = frozenset({Fault.PROVIDER, Fault.QUOTA, Fault.GATEWAY})
ContinuesIn = Callable[[Candidate], Upstream | None]
_UNSTORED = Raw(b"false")


def may_follow(plan: Plan, call: Call) -> bool:
    """Return whether the text of an answer is kept as it passes, since the answer may have to be continued. Its dialect
    must have a way to resume it."""
    is_wanted = plan.routing.failover.stream_recovery == "continue" and not plan.pinned and plan.max_attempts > 1
    return is_wanted and call.operation in ("chat", "responses")


def is_break(failure: Failure) -> bool:
    """Return whether a stream broke off by the fault of its provider, and might go on elsewhere."""
    return failure.kind.fault in _BREAKS and failure.kind is not failures.STREAM_TOO_LONG


def may_continue(call: Call, text: str, *, is_unstored: bool) -> bool:
    """Return whether the request of `call`, which ends with the text so far, may be sent. If `is_unstored`, no
    provider stores the answer, whatever the client wishes."""
    halves = DIALECTS[call.head.dialect].halves
    if is_unstored:
        call = replace(call, fields={**call.fields, "store": _UNSTORED}, stateful=False)
    if halves is None or not text.strip() or not may_be_sent_twice(call):
        return False
    try:
        return is_plain(halves.read_request(call), text)
    except Rejection:
        return False


def continuing(plan: Plan, call: Call, deadline: float, continues_in: ContinuesIn) -> Plan:
    """Return the plan of a continuation, which may have no choice. `call` ends with the text so far. `continues_in`
    returns the dialect in which a candidate gets it; `None` if its model does not continue a text."""
    return replace(
        plan,
        choices=tuple([one for one in plan.choices if _continues(one.candidate, continues_in, call)]),
        instead=tuple([one for one in plan.instead if _continues(one.candidate, continues_in, call)]),
        deadline=deadline,
        hedging=None,
        declared=frozenset(),
        probe="",
    )


def _continues(item: Candidate, continues_in: ContinuesIn, call: Call) -> bool:
    spoken, client = continues_in(item), DIALECTS[call.head.dialect].halves
    if spoken is None or client is None:
        return False
    if spoken.name == call.head.dialect:
        return True
    try:
        return not translate(client, spoken.halves, call, reasons=does_reason(item, call)).cannot
    except Rejection:
        return False
