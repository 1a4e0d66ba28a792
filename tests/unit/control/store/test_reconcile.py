"""Corrections that turn an attempt without a reported cost into a charge."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.control.store.reconcile import NO_WORKER, corrected, rejection_reason, settled
from pointsman.control.store.tables import Row

HELD = [["a|usd|day", 0, 10, "usd"], ["b|usd|month", 0, 90, "usd"], ["c|tokens|hour", 5, 9, "tokens"]]
NANO = st.integers(0, 10**12)


def row_of(nano: int, held: int, tokens: int = 9, used: int = 4, **fields: Any) -> Row:
    keys = dict.fromkeys(("virtual_key", "team", "customer", "provider", "model", "variant"), "x")
    numbers = {"nano": nano, "held_nano": held, "tokens": tokens, "tokens_used": used, "hour": 3600}
    return {"attempt_id": "r-1", "state": "open", "source": "estimated", "counters": json.dumps(HELD)} | (
        keys | numbers | fields
    )


@given(NANO, NANO, NANO, st.booleans())
def test_corrected_counters_and_reports_equal_the_cost(nano: int, held: int, invoiced: int, lapses: bool) -> None:
    counters, usage = settled(row_of(nano, held), None if lapses else invoiced)
    cost = nano if lapses else invoiced
    by_counter = {one["counter"]: one["posted"] for one in counters}
    assert by_counter.get("a|usd|day", 0) == by_counter.get("b|usd|month", 0) == cost - (nano + held)
    assert by_counter["c|tokens|hour"] == 4 - 9
    assert all(one["epoch"] == NO_WORKER for one in counters)
    assert (nano + usage["nano"], held + usage["held_nano"]) == (cost, 0)
    assert nano + usage["estimated_nano"] == (nano if lapses else 0)
    assert usage["attempts"] == 0


@given(st.lists(st.tuples(NANO, NANO), min_size=1, max_size=4))
def test_request_costs_the_sum_of_its_attempts(amounts: list[tuple[int, int]]) -> None:
    attempts = [{"cost_nano": nano, "usage_source": "estimated"} for nano, _ in amounts]
    total = sum(nano for nano, _ in amounts)
    record = {"time": 7300.0, "attempts": attempts, "cost_nano": total, "estimated_nano": total, "tags": {"t": "v"}}
    request = {"nano": total, "estimated_nano": total, "reserved_nano": 0, "record": json.dumps(record).encode()}
    rows = [(row_of(nano, 0, attempt_id=f"r-{number}"), invoiced) for number, (nano, invoiced) in enumerate(amounts, 1)]
    changed, tally = corrected(request, rows)
    (tag,), (minute,) = tally.tags(), tally.minutes()
    invoiced = sum(invoiced for _, invoiced in amounts)
    assert (changed["nano"], changed["estimated_nano"], changed["reserved_nano"]) == (invoiced, 0, 0)
    stored = json.loads(changed["record"])
    assert stored["cost_nano"] == sum(one["cost_nano"] for one in stored["attempts"]) == invoiced
    assert {one["usage_source"] for one in stored["attempts"]} == {"reconciled"}
    assert (tag["tag"], tag["hour"], total + tag["nano"], tag["requests"]) == ("t=v", 7200, invoiced, 0)
    assert (minute["minute"], total + minute["nano"], minute["requests"]) == (7260, invoiced, 0)


@pytest.mark.parametrize(
    ("row", "is_over", "expected"),
    [
        (None, True, "no such attempt"),
        (row_of(1, 2, state="reconciled", reconciled_nano=1_500_000_000), True, "at 1.500000000 dollars"),
        (row_of(1, 2, state="kept"), True, "older version"),
        (row_of(1, 2), False, "not ended"),
    ],
)
def test_rejected_reconciliation_has_a_reason(row: Row | None, is_over: bool, expected: str) -> None:
    assert expected in (rejection_reason(row, is_over=is_over) or "")


def test_lapsed_attempt_may_be_reconciled() -> None:
    assert rejection_reason(row_of(1, 2, state="lapsed"), is_over=True) is None
