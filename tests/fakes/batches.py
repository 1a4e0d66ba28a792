"""Batches as journals record them."""

import time

from pointsman.domain.batches import MADE, SENT, BatchWork, ModelWork, encode_work
from pointsman.domain.prices import Price, Rates
from pointsman.engine.billing_records import charge_batch, outcome_record
from pointsman.journal.records import BatchRecord, ChargeScope
from pointsman.journal.writer import JournalWriter
from pointsman.money.charges import Arrived, Bound

PRICE = Price(Rates(input=1000, output=2000), tiers={"batch": Rates(input=500, output=1000)})
WORK = BatchWork(
    endpoint="/v1/chat/completions",
    models=(ModelWork("gpt-4o", lines=2, tokens_in=100, tokens_out=200, price=PRICE),),
    key="only",
    is_marked=True,
)
MOST = Bound(252, 300)  # 50 + 200 nano-dollars, and one more for each line

ACCEPTED = Arrived(events=0, bytes_in=50, status=200, was_sent=True, is_counted=False, is_announced=True)


def write_batch(
    writer: JournalWriter, scope: ChargeScope, request_id: str, *, is_answered: bool = True, at: float | None = None
) -> str:
    """Write the records of a requested batch, up to its result if it `is_answered`. Return the id of its attempt."""
    at = time.time() if at is None else at
    sent = BatchRecord(scope.number, request_id, 1, at, state=SENT, work=encode_work(WORK))
    writer.store(scope, sent)
    writer.intent(scope, request_id, 1, at, nano=MOST.nano, tokens=MOST.tokens)
    if is_answered:
        writer.store(
            scope,
            BatchRecord(
                scope.number, request_id, 1, at, state=MADE, work=encode_work(WORK), batch_id=f"b-{request_id}"
            ),
        )
        writer.store(
            scope, outcome_record(scope, request_id, 1, charge_batch(WORK, MOST, ACCEPTED, None), outcome="ok", at=at)
        )
    return f"{request_id}-1"
