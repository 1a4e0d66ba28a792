"""The form records have on disk, which older and newer versions must agree on, and what an attempt counts where."""

import msgspec
import pytest

from fakes.journal import outcome, scope
from pointsman.journal.records import DECODER, ENCODER, CounterRef, Intent, Outcome, RequestDone, amount, attempt_id


@pytest.mark.parametrize(
    "record", [scope(), Intent(1, "r", 2, 1764000000.123456, 10**18, 5), outcome("r"), RequestDone(b"{}")]
)
def test_records_survive_the_way_through_the_journal(record: msgspec.Struct) -> None:
    assert DECODER.decode(ENCODER.encode(record)) == record


def test_the_form_on_disk() -> None:
    """A change here needs a new `FORMAT`, unless fields were added at the end."""
    assert msgspec.msgpack.decode(ENCODER.encode(Intent(1, "r", 2, 1.5, 10, 20))) == [2, 1, "r", 2, 1.5, 10, 20]
    told = [3, 1, "r", 1, 2.5, 7, 3, 4, 0, 0, "ok", "provider", True, -1, -1]
    assert msgspec.msgpack.decode(ENCODER.encode(outcome("r"))) == told
    counters = [
        ["virtual_key:me|usd|day", "usd", "day", 1, "", False],
        ["team:t|requests|minute", "requests", "minute", 1, "", False],
    ]
    told = [1, 1, "me", "t", None, "alpha", "m", None, "", counters]
    assert msgspec.msgpack.decode(ENCODER.encode(scope())) == told


def test_fields_that_a_newer_version_added_are_passed_over_and_missing_ones_have_a_default() -> None:
    newer = msgspec.msgpack.encode([2, 1, "r", 2, 1.5, 10, 20, "new"])
    assert DECODER.decode(newer) == Intent(1, "r", 2, 1.5, 10, 20)
    older = msgspec.msgpack.encode([3, 1, "r", 1, 2.5, 7, 3, 4, 0, 0, "ok", "provider"])
    assert DECODER.decode(older) == Outcome(1, "r", 1, 2.5, 7, 3, 4, 0, 0, "ok", "provider", is_priced=True)
    assert (DECODER.decode(older).cost_nano, DECODER.decode(older).tokens_counted) == (7, 7)


@pytest.mark.parametrize(
    ("metric", "counts_attempts", "ordinal", "counted"),
    [
        ("usd", False, 2, 70),
        ("tokens", False, 2, 9),
        ("requests", False, 1, 1),
        ("requests", False, 2, 0),
        ("requests", True, 2, 1),
    ],
)
def test_what_an_attempt_counts(metric: str, counts_attempts: bool, ordinal: int, counted: int) -> None:
    ref = CounterRef(counter="c", metric=metric, unit="day", counts_attempts=counts_attempts)
    assert amount(ref, ordinal, 70, 9) == counted


def test_attempts_are_named_by_request_and_ordinal() -> None:
    assert attempt_id("0192-ab", 3) == "0192-ab-3"
