"""The records of outcomes and of batches."""

import json
from typing import Any, cast

import pytest
from msgspec import Raw
from msgspec.structs import replace

from fakes.batches import ACCEPTED, MOST, WORK
from fakes.money import charge_of
from fakes.routing import call
from pointsman.domain import failures
from pointsman.domain.batches import MADE, SENT, VOID, ModelWork
from pointsman.domain.calls import Call
from pointsman.domain.failures import Failure
from pointsman.engine.billing_records import charge_batch, marked_call, outcome_record, result_record, sent_record
from pointsman.engine.receiver import AnswerReceiver
from pointsman.journal.records import ChargeScope
from pointsman.money.charges import FREE, Arrived, Bound, Charge
from pointsman.wire.state import touched

SCOPE = ChargeScope(
    number=3, virtual_key="me", team=None, customer=None, provider="a", model="", variant=None, counters=()
)


class Answered:
    """A receiver that has a whole answer."""

    def __init__(self, body: bytes | None) -> None:
        self.body = body


def receiver(body: bytes | None) -> AnswerReceiver:
    return cast("AnswerReceiver", Answered(body))


def test_batch_holds_its_whole_reservation() -> None:
    outcome = outcome_record(SCOPE, "r", 1, charge_batch(WORK, MOST, ACCEPTED, None), outcome="ok", at=1.0)
    assert (outcome.nano, outcome.cost_nano, outcome.tokens_counted, outcome.source) == (252, 0, 300, "batch")


def test_result_is_the_id_or_that_there_is_none() -> None:
    sent = sent_record(SCOPE, WORK, "r", 2, at=5.0)
    assert (sent.state, sent.request_id, sent.ordinal, sent.at) == (SENT, "r", 2, 5.0)
    made = result_record(
        sent, charge_batch(WORK, MOST, ACCEPTED, None), receiver(b'{"id": "batch_1", "object": "batch"}')
    )
    assert made == replace(sent, state=MADE, batch_id="batch_1")
    assert result_record(sent, charge_batch(WORK, MOST, ACCEPTED, None), receiver(b"[")) is None, (
        "the provider made it, but which one?"
    )
    assert result_record(sent, FREE, receiver(None)) == replace(sent, state=VOID)
    lost: Any = Charge(252, 300, "reserved")
    assert result_record(sent, lost, receiver(None)) is None, "the provider may have made it"
    unpriced = charge_batch(WORK, Bound(0, 300), replace(ACCEPTED, status=None), LOST)
    assert result_record(sent, unpriced, receiver(None)) is None, "it may be made although no price is known"


def test_batch_with_a_model_of_unknown_price_is_unpriced() -> None:
    unknown = replace(WORK, models=(*WORK.models, ModelWork("x", 1, 1, 1)))
    assert charge_batch(WORK, MOST, ACCEPTED, None).is_priced
    assert not charge_batch(unknown, MOST, ACCEPTED, None).is_priced


LOST = Failure(failures.CONNECTION_LOST, "the connection was lost")


@pytest.mark.parametrize(
    ("status", "was_sent", "may_be_made"),
    [(None, True, True), (200, True, True), (502, True, True), (504, True, True), (400, True, False),
     (429, True, False), (None, False, False)],
)  # fmt: skip
@pytest.mark.parametrize("unfinished", ["none", "prompt", "full", None])
def test_batch_whose_answer_was_lost_keeps_its_reservation(
    status: int | None, was_sent: bool, may_be_made: bool, unfinished: str | None
) -> None:
    arrived = replace(ACCEPTED, status=status, was_sent=was_sent)
    requested = replace(call(), batch=WORK)
    charge = charge_of(requested, None, MOST, unfinished, cast("AnswerReceiver", Lost(arrived)), LOST)
    expected = Charge(0, MOST.tokens, "estimated", held_nano=MOST.nano) if may_be_made else FREE
    assert charge == expected
    result = result_record(sent_record(SCOPE, WORK, "r", 1, at=5.0), charge, receiver(None))
    assert (result is None) is may_be_made


class Lost:
    """A receiver of an answer that failed."""

    def __init__(self, found: Arrived) -> None:
        self._found = found

    def arrived(self) -> Arrived:
        return self._found


def test_only_a_marked_batch_carries_its_attempt() -> None:
    fields = {"input_file_id": Raw(b'"f"'), "metadata": Raw(b'{"pointsman_attempt": "another", "a": "b"}')}
    plain = replace(call(operation="batch"), fields=fields, state=touched("POST", "/batches", fields))

    def metadata(requested: Call) -> Any:
        return json.loads(bytes(marked_call(requested, "r-1").fields["metadata"]))

    assert metadata(replace(plain, batch=WORK)) == {"a": "b", "pointsman_attempt": "r-1"}
    for unmarked in (plain, replace(plain, batch=replace(WORK, is_marked=False))):
        assert metadata(unmarked) == {"a": "b"}, "it would count as the batch of another attempt"
    for other in (call(), replace(plain, state=touched("POST", "/batches/b/cancel", fields))):
        assert marked_call(other, "r-1") is other
