"""The format of records on disk, which older and newer versions share, and the amounts that counters count."""

import msgspec
import pytest

from fakes.journal import outcome, scope
from pointsman.journal.records import DECODER, ENCODER, CounterRef, Intent, Outcome, RequestDone, amount, attempt_id


@pytest.mark.parametrize(
    "record", [scope(), Intent(1, "r", 2, 1764000000.123456, 10**18, 5), outcome("r"), RequestDone(b"{}")]
)
def test_records_survive_encoding(record: msgspec.Struct) -> None:
    assert DECODER.decode(ENCODER.encode(record)) == record


def test_format_on_disk_is_stable() -> None:
    """A change here needs a new `FORMAT`, unless fields were added at the end."""
    assert msgspec.msgpack.decode(ENCODER.encode(Intent(1, "r", 2, 1.5, 10, 20))) == [2, 1, "r", 2, 1.5, 10, 20]
    expected = [3, 1, "r", 1, 2.5, 7, 3, 4, 0, 0, "ok", "provider", True, -1, -1]
    assert msgspec.msgpack.decode(ENCODER.encode(outcome("r"))) == expected
    counters = [
        ["virtual_key:me|usd|day", "usd", "day", 1, "", False],
        ["team:t|requests|minute", "requests", "minute", 1, "", False],
    ]
    expected = [1, 1, "me", "t", None, "alpha", "m", None, "", counters]
    assert msgspec.msgpack.decode(ENCODER.encode(scope())) == expected


def test_unknown_fields_are_ignored_and_missing_fields_have_a_default() -> None:
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
def test_counter_counts_the_amount_of_its_metric(
    metric: str, counts_attempts: bool, ordinal: int, counted: int
) -> None:
    ref = CounterRef(counter="c", metric=metric, unit="day", counts_attempts=counts_attempts)
    assert amount(ref, ordinal, 70, 9) == counted


def test_attempt_id_has_the_request_and_the_ordinal() -> None:
    assert attempt_id("0192-ab", 3) == "0192-ab-3"
