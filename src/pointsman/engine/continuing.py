"""Goes on with a stream that broke off after its first content, in another attempt."""

from time import monotonic

from pointsman.domain.calls import Call
from pointsman.domain.failures import Failure
from pointsman.domain.outcomes import Usage
from pointsman.domain.plans import Plan
from pointsman.engine.answer import ClientAnswer
from pointsman.engine.attempt import Attempt
from pointsman.engine.continuation import Continuation, Recording
from pointsman.providers import continues_in
from pointsman.routing.continuing import MOST_CONTINUATIONS, continuing, is_break, may_continue
from pointsman.wire.delivered import continued_call, total


def continue_stream(
    answer: ClientAnswer, attempt: Attempt, failure: Failure | None, plan: Plan, call: Call
) -> tuple[Plan, Call] | None:
    """Prepare the attempts that go on with the stream of an attempt, which is settled. Return their plan and their
    call; `None` if the stream is complete or cannot be continued. `call` is the client's."""
    recording, log, earlier = answer.sink, answer.log, answer.log.continuation
    number = 1 if earlier is None else earlier.number + 1
    if not isinstance(recording, Recording) or failure is None or not is_break(failure):
        return None
    delivered = recording.delivered()
    if number > MOST_CONTINUATIONS or not delivered.is_text:
        return None
    whole = delivered.text
    text = whole.rstrip()
    if not _is_encodable(whole):
        return None
    before = _usage(attempt, earlier)
    events = attempt.receiver.events + (0 if earlier is None else earlier.events)
    following = continued_call(delivered.resuming, call, text, events)
    if not may_continue(following, text, is_unstored=attempt.is_translating):
        return None
    now = monotonic()
    first_at = earlier.committed_at if earlier is not None else attempt.receiver.committed_at or now
    catalog = call.snapshot.pricing.catalog
    rest = continuing(
        plan,
        following,
        deadline_of(plan, call, first_at, now),
        lambda item: continues_in(item, catalog.find(item.endpoint.catalog, item.model)),
    )
    if not rest.choices:
        return None
    log.continuation = Continuation(
        broken=attempt,
        failure=failure,
        delivered=delivered,
        text=text,
        blank=whole[len(text) :],
        before=before,
        dialect=call.head.dialect,
        committed_at=first_at,
        bytes_in=attempt.receiver.bytes_in + (0 if earlier is None else earlier.bytes_in),
        events=events,
        number=number,
    )
    return rest, following


def deadline_of(plan: Plan, call: Call, first_at: float, now: float) -> float:
    """Return the deadline of a continuation: that of any attempt, within the longest stream, and within the client's
    own deadline. Times are monotonic seconds, and `first_at` is that of the first content of the answer."""
    deadline = min(now + plan.routing.timeouts.commit_s, first_at + plan.routing.timeouts.stream_s)
    return deadline if call.head.timeout_s is None else min(deadline, plan.deadline)


def _usage(attempt: Attempt, earlier: Continuation[Attempt] | None) -> Usage:
    """Return the usage so far, as far as it was charged."""
    charged = attempt.charge.usage
    return charged if earlier is None else total(earlier.before, charged)


def _is_encodable(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:  # half of a surrogate pair
        return False
    return True
