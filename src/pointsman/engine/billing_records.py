"""The records of outcomes for the journal, and those of batches, by which control settles them later."""

from msgspec.structs import replace

from pointsman.domain.batches import MADE, SENT, VOID, BatchWork, encode_work
from pointsman.domain.calls import Call
from pointsman.domain.failures import Failure
from pointsman.domain.identity import VirtualKey
from pointsman.domain.outcomes import UsageSource
from pointsman.domain.plans import Try
from pointsman.domain.prices import Price
from pointsman.engine.receiver import AnswerReceiver
from pointsman.journal.records import BatchRecord, ChargeScope, Outcome
from pointsman.journal.writer import JournalWriter
from pointsman.money.batches import priced, unpriced
from pointsman.money.charges import FREE, Arrived, Bound, Charge
from pointsman.wire.batches import can_mark, marked
from pointsman.wire.state import id_of


def priced_for(call: Call, key: VirtualKey | None, step: Try) -> Call:
    """Return the call for a batch with the prices that hold for an attempt, and its provider key. Control follows it
    unless only workers have the credentials."""
    assert call.batch is not None
    work = priced(call.batch, key, step.choice.candidate.endpoint, call.snapshot)
    work = replace(work, key=step.key.name, is_marked=can_mark(call.fields), is_followed=step.key.is_concrete)
    return replace(call, batch=work)


def marked_call(call: Call, attempt_id: str) -> Call:
    """Return the call for a batch with the id of its attempt in the metadata, if control follows it and they have room.
    An id of the client's own is removed."""
    if call.operation != "batch" or call.state is None or call.state.creates is None:
        return call
    is_marked = call.batch is not None and call.batch.is_marked
    return replace(call, fields=marked(call.fields, attempt_id if is_marked else None))


def is_priced(call: Call, price: Price | None) -> bool:
    """Return whether the price of a call is known; `price` is that of its model, which a batch does not name."""
    return price is not None if call.batch is None else unpriced(call.batch) is None


def charge_batch(work: BatchWork, bound: Bound, arrived: Arrived, failure: Failure | None) -> Charge:
    """Return the charge for a requested batch: all of the reservation is held, unless its provider has refused it. A
    failed request may have made it, whatever the provider bills for broken answers: control finds out."""
    is_refused = not arrived.was_sent or (arrived.status is not None and 400 <= arrived.status < 500)
    if failure is not None and is_refused:
        return FREE
    source: UsageSource = "batch" if failure is None else "estimated"
    return Charge(0, bound.tokens, source, is_priced=unpriced(work) is None, held_nano=bound.nano)


def sent_record(scope: ChargeScope, work: BatchWork, request_id: str, ordinal: int, *, at: float) -> BatchRecord:
    """Return the record to store before a batch is requested."""
    return BatchRecord(scope.number, request_id, ordinal, at, state=SENT, work=encode_work(work))


def record_intent(
    journal: JournalWriter, scope: ChargeScope, call: Call, request_id: str, ordinal: int, *, at: float, bound: Bound
) -> None:
    """Store the intent of an attempt. Raises `JournalUnavailable` if it was not stored. A batch then counts as never
    made, even if it has no limits and is sent all the same: nothing holds a reservation that control could settle."""
    sent = sent_record(scope, call.batch, request_id, ordinal, at=at) if call.batch is not None else None
    try:
        if sent is not None:
            journal.store(scope, sent)
        journal.intent(scope, request_id, ordinal, at, nano=bound.nano, tokens=bound.tokens)
    except Exception:
        if sent is not None:
            journal.store(scope, replace(sent, state=VOID))
        raise


def result_record(sent: BatchRecord, charge: Charge, receiver: AnswerReceiver) -> BatchRecord | None:
    """Return the record of the result. It is `None` if the provider may have made the batch, but its id is unknown."""
    if charge.source == "batch":
        name = id_of(receiver.body or b"")
        return replace(sent, state=MADE, batch_id=name) if name is not None else None
    return replace(sent, state=VOID) if charge is FREE else None


def outcome_record(
    scope: ChargeScope, request_id: str, ordinal: int, charge: Charge, *, outcome: str, at: float
) -> Outcome:
    """Return the record of an attempt that has ended."""
    usage = charge.usage
    return Outcome(
        scope.number,
        request_id,
        ordinal,
        at,
        charge.nano + charge.held_nano,
        tokens_in=usage.tokens_in,
        tokens_out=usage.tokens_out,
        tokens_cached=usage.tokens_cached,
        tokens_reasoning=usage.tokens_reasoning,
        outcome=outcome,
        source=charge.source,
        is_priced=charge.is_priced,
        tokens=charge.tokens,
        cost=charge.nano,
    )
