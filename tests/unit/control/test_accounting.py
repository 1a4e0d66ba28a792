"""Sums over records by counter, by scope and hour, and by tag, compared with a simple addition."""

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.control import DAY_COUNTER, record, request_id, scope
from pointsman.control import accounting
from pointsman.control.accounting import Accounting, OpenRequests
from pointsman.domain.limits import Period
from pointsman.journal.reader import Chunk, Position
from pointsman.journal.records import ChargeScope, Intent, Outcome, Record, RequestDone, amount

DAY = 20_000 * 86_400
START = Position()
FAR = 1e300  # a moment that no calendar has


def intent(number: int, ordinal: int = 1, at: float = DAY, of: int = 1, nano: int = 1000) -> Intent:
    return Intent(of, request_id(number, DAY), ordinal, at, nano, 100)


def outcome(number: int, ordinal: int = 1, nano: int = 70, of: int = 1, result: str = "ok") -> Outcome:
    return Outcome(of, request_id(number, DAY), ordinal, DAY + 1, nano, 10, 5, 2, 1, result, "reported")


def read(
    *records: Record, open_requests: OpenRequests | None = None, of: ChargeScope | None = None
) -> tuple[Accounting, OpenRequests]:
    """Add records, each at its own position."""
    found, requests = Accounting(), open_requests or OpenRequests()
    known = {one.number: one for one in (of or scope(),)}
    found.add(7, chunk_of(*records, first=100), known, requests)
    return found, requests


def chunk_of(*records: Record, first: int = START.offset) -> Chunk:
    """Return a chunk of records, one per byte from `first` on."""
    offsets = [first + number for number in range(len(records))]
    return Chunk(segment=0, offsets=offsets, records=list(records), end=Position(0, first + len(records)), is_end=True)


def counters(found: Accounting) -> dict[tuple[str, int], int]:
    return {(row["counter"], row["window_start"]): row["posted"] for row in found.batch().counters}


def test_attempt_counts_in_every_counter_of_its_scope() -> None:
    found, requests = read(intent(1), outcome(1))
    minute = "requests|minute"
    assert counters(found) == {
        (DAY_COUNTER, DAY): 70,
        ("team:research|usd|month", Period("month").window(DAY)[0]): 70,
        (f"virtual_key:me|{minute}", DAY): 1,
        (f"provider:openai|{minute}", DAY): 1,
        ("virtual_key:me|tokens|hour", DAY): 15,
    }
    (row,) = found.batch().usage
    assert (row["hour"], row["virtual_key"], row["attempts"], row["failures"], row["nano"]) == (DAY, "me", 1, 0, 70)
    assert (row["tokens_in"], row["tokens_out"], row["tokens_cached"], row["tokens_reasoning"]) == (10, 5, 2, 1)
    assert {row["counter"]: row["posted"] for row in found.batch().counters}[DAY_COUNTER] == 70
    assert len(requests) == 1


def test_request_counts_once_and_each_attempt_in_attempt_counters() -> None:
    found, _ = read(intent(1), outcome(1, result="upstream_error", nano=0), intent(1, 2), outcome(1, 2))
    sums = {name: posted for (name, _), posted in counters(found).items()}
    assert sums["virtual_key:me|requests|minute"] == 1
    assert sums["provider:openai|requests|minute"] == 2
    (row,) = found.batch().usage
    assert (row["attempts"], row["failures"]) == (2, 1)


def test_outcome_is_charged_in_the_windows_of_its_intent() -> None:
    found, _ = read(intent(1, at=DAY - 0.5), intent(2, at=DAY + 0.5), outcome(2, nano=1), outcome(1, nano=2))
    assert {key: nano for key, nano in counters(found).items() if key[0] == DAY_COUNTER} == {
        (DAY_COUNTER, DAY - 86_400): 2,
        (DAY_COUNTER, DAY): 1,
    }
    assert {row["hour"]: row["nano"] for row in found.batch().usage} == {DAY - 3600: 2, DAY: 1}


def test_outcome_counts_once_and_only_with_its_intent() -> None:
    found, requests = read(intent(1), outcome(1), outcome(1), outcome(2))
    assert counters(found)[DAY_COUNTER, DAY] == 70
    again, _ = read(outcome(1), open_requests=requests)
    assert again.batch().counters == []


def test_open_attempts_of_a_dead_worker_are_charged_at_their_reservations() -> None:
    found, requests = read(intent(1), outcome(1), intent(1, 2), intent(3, nano=30))
    found.abandon(7, requests)
    batch = found.batch()
    assert counters(found)[DAY_COUNTER, DAY] == 70 + 1000 + 30
    assert {row["attempt_id"]: row["nano"] for row in batch.unsettled} == {
        f"{request_id(1, DAY)}-2": 1000,
        f"{request_id(3, DAY)}-1": 30,
    }
    (row,) = batch.usage
    assert (row["reserved_nano"], row["nano"], row["tokens_in"]) == (1030, 1100, 10), (
        "reserved tokens are not used ones"
    )
    records = {row[0]: json.loads(row[7]) for row in batch.requests}
    assert records[request_id(1, DAY)]["code"] == "worker_died"
    assert [one["outcome"] for one in records[request_id(1, DAY)]["attempts"]] == ["ok", "worker_died"]
    assert records[request_id(1, DAY)]["cost_nano"] == 1070
    assert len(requests) == 0


def test_limits_count_the_reservation_and_reports_the_estimate() -> None:
    of = Outcome(1, request_id(1, DAY), 1, DAY + 1, 700, 10, 5, 0, 0, "client_disconnected", "estimated", True, 90, 70)
    found, _ = read(intent(1), of)
    assert {name: posted for (name, _), posted in counters(found).items() if "requests" not in name} == {
        DAY_COUNTER: 700, "team:research|usd|month": 700, "virtual_key:me|tokens|hour": 90,
    }  # fmt: skip
    (row,) = found.batch().usage
    assert (row["nano"], row["estimated_nano"], row["reserved_nano"], row["held_nano"]) == (70, 70, 0, 630)
    (row,) = found.batch().unsettled
    assert (row["nano"], row["held_nano"], row["tokens"], row["tokens_used"]) == (70, 630, 90, 15)
    month, end = Period("month").window(DAY)
    assert (row["state"], row["source"], row["until"]) == ("open", "estimated", end)
    assert json.loads(row["counters"]) == [
        [DAY_COUNTER, DAY, DAY + 86_400, "usd"],
        ["team:research|usd|month", month, end, "usd"],
        ["virtual_key:me|tokens|hour", DAY, DAY + 3600, "tokens"],
    ]


def test_attempt_without_a_budget_holds_nothing() -> None:
    of = Outcome(1, request_id(1, DAY), 1, DAY + 1, 700, 10, 5, 0, 0, "client_disconnected", "estimated", True, 90, 70)
    found, _ = read(intent(1), of, of=scope(counters=()))
    (row,) = found.batch().usage
    assert (row["nano"], row["held_nano"]) == (70, 0)
    assert found.batch().unsettled[0]["until"] == DAY


def test_counted_amounts_of_older_versions_are_estimates() -> None:
    of = Outcome(1, request_id(1, DAY), 1, DAY + 1, 70, 10, 5, 0, 0, "client_disconnected", "counted")
    (row,) = read(intent(1), of)[0].batch().usage
    assert (row["nano"], row["estimated_nano"], row["held_nano"]) == (70, 70, 0)


def test_null_characters_are_replaced() -> None:
    line = record(request_id(1, DAY), DAY, model="a\0b", message="said \0")
    assert b"\\u0000" in line
    (row,) = read(RequestDone(line))[0].batch().requests
    assert "a\ufffdb" in row
    assert "\0" not in "".join(map(str, row))
    assert "u0000" not in "".join(map(str, row))


def test_record_of_a_request_ends_it_and_has_its_tags() -> None:
    parts = {"estimated_nano": 4, "reserved_nano": 3, "client_request_id": "theirs"}
    line = record(request_id(1, DAY), DAY, tags={"env": "dev"}, tokens_in=3, cost_nano=9, variant="trial", **parts)
    found, requests = read(intent(1), outcome(1), RequestDone(line))
    assert len(requests) == 0
    (row,) = found.batch().requests
    rest = ("research", "", "", "", 2500, 4, 12)
    assert row == (request_id(1, DAY), DAY, "me", "chat", "openai", 200, 9, line, "theirs", 4, 3, *rest)
    whose = {"virtual_key": "me", "team": "research", "customer": "", "provider": "openai", "model": "gpt-4o"}
    sums = {"requests": 1, "tokens_in": 3, "tokens_out": 5, "nano": 9, "estimated_nano": 4, "reserved_nano": 3}
    assert found.batch().tags == [{"hour": DAY, "tag": "env=dev", **whose, "variant": "trial", **sums}]


def test_malformed_record_is_left_out() -> None:
    found, _ = read(RequestDone(b"{"), RequestDone(b'{"time": 1}'))
    assert found.batch().requests == []


def test_reading_resumes_at_the_oldest_open_request() -> None:
    _, requests = read(intent(1), intent(2), outcome(1), RequestDone(record(request_id(1, DAY), DAY)))
    assert requests.low(Position(0, 500)) == Position(0, 101)
    requests.done(request_id(2, DAY))
    assert requests.low(Position(0, 500)) == Position(0, 500)


def test_settled_requests_without_a_record_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounting, "MAX_OPEN", 10)
    requests = OpenRequests()
    for number in range(11):
        requests.begun(START, intent(number), scope())
        if number % 2 == 0:
            requests.settled(outcome(number))
    assert len(requests) == 6, "those that still await an outcome stay"
    for number in (1, 3, 5, 7, 9):
        assert requests.settled(outcome(number)) is not None
    assert requests.settled(outcome(0)) is None


def test_request_beyond_the_maximum_of_open_ones_is_charged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounting, "MAX_OPEN", 3)
    requests = OpenRequests()
    for number in range(20):
        requests.begun(START, intent(number), scope())
    assert all(requests.settled(outcome(number)) is not None for number in range(20))


def test_scope_number_may_be_reused_in_the_next_segment() -> None:
    requests, known = OpenRequests(), {1: scope()}
    found = Accounting()
    found.add(7, chunk_of(intent(1), outcome(1)), known, requests)
    known[1] = scope(virtual_key="you", counters=())
    found.add(7, chunk_of(intent(2), outcome(2, nano=1)), known, requests)
    assert {row["virtual_key"]: row["nano"] for row in found.batch().usage} == {"me": 70, "you": 1}


@given(
    st.lists(
        st.tuples(
            st.integers(0, 3),  # scope
            st.integers(1, 2),  # attempts
            st.floats(DAY - 90_000, DAY + 90_000),
            st.integers(0, 10**15),
            st.booleans(),  # settled
        ),
        max_size=40,
    )
)
def test_sums_equal_a_simple_addition(attempts_of: list[tuple[int, int, float, int, bool]]) -> None:
    scopes = {number: scope(number, virtual_key=f"key-{number}") for number in range(4)}
    records: list[Record] = []
    expected: Counter[tuple[str, int]] = Counter()
    spent = 0
    for number, (of, attempts, at, nano, is_settled) in enumerate(attempts_of):
        for ordinal in range(1, attempts + 1):
            records.append(intent(number, ordinal, at, of, nano))
            if is_settled:
                records.append(outcome(number, ordinal, nano, of))
            spent += nano
            for ref in scopes[of].counters:
                start = Period(ref.unit, ref.count).window(at)[0]
                expected[ref.counter, start] += amount(ref, ordinal, nano, 15 if is_settled else 100)
    found, requests = Accounting(), OpenRequests()
    found.add(7, chunk_of(*records), dict(scopes), requests)
    found.abandon(7, requests)
    assert counters(found) == dict(expected)
    assert sum(row["nano"] for row in found.batch().usage) == spent


@pytest.mark.parametrize("bad", [RequestDone(b"no JSON"), RequestDone(b'{"request_id": "\xff"}'), RequestDone(b"{}")])
def test_unusable_record_is_reported_and_others_count(bad: Record) -> None:
    found, _ = read(intent(1), bad, outcome(1))
    assert found.problem is not None
    assert counters(found)[DAY_COUNTER, DAY] == 70


def test_attempt_at_an_impossible_time_is_reported_and_others_count() -> None:
    found, requests = read(intent(1, at=FAR), outcome(1), intent(2), outcome(2), intent(3, at=FAR), intent(4))
    assert found.problem is not None
    assert counters(found)[DAY_COUNTER, DAY] == 70
    found.abandon(7, requests)
    assert counters(found)[DAY_COUNTER, DAY] == 1070


def test_number_of_remembered_window_spans_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounting, "MAX_SPANS", 10)
    requests = OpenRequests()
    for number in range(100):
        one = scope(number)
        assert requests.span(one, DAY) is requests.span(one, DAY)
        assert len(requests._spans) <= 10
