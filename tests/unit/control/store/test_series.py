"""Sums that are kept for several spans of time."""

import itertools
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.control.store.reports import Rows
from pointsman.control.store.series import REQUEST_SERIES, USAGE_SERIES, pieces
from pointsman.control.store.store import Batch, Store
from pointsman.control.store.tables import DAY_S, HOUR_S, MINUTE_S, REQUEST_SUMS, Row
from unit.control.store.test_store import DAY, STORES, on_store, usage

SPANS = st.sampled_from([(HOUR_S,), (HOUR_S, DAY_S), (MINUTE_S, HOUR_S, DAY_S)])


@given(st.floats(0, 1e7), st.floats(1, 1e7), SPANS)
def test_pieces_hold_each_moment_once(since: float, length: float, spans: tuple[int, ...]) -> None:
    found = pieces(since, since + length, spans)
    assert found[0][1] == since // spans[0] * spans[0]
    assert found[-1][2] == since + length
    for (_, _, end), (_, start, _) in itertools.pairwise(found):
        assert end == start
    assert all(start % span == 0 for span, start, _ in found)


@STORES
def test_sums_do_not_depend_on_the_spans_they_are_read_from(kind: str, tmp_path: Path) -> None:
    hours = [DAY + number * HOUR_S for number in (0, 5, 23, 24, 47, 48, 71)]

    async def test(store: Store) -> None:
        await store.commit(Batch(usage=[usage(hour, nano=1 << place) for place, hour in enumerate(hours)]))
        await store.commit(Batch(usage=[usage(hours[0], nano=1 << 20), usage(hours[0], nano=1 << 21)]))
        for since in (DAY - 1, DAY + 1, DAY + 5 * HOUR_S, DAY + 30 * HOUR_S):
            for until in (DAY + 24 * HOUR_S, DAY + 49.5 * HOUR_S, 1e11):
                rows = Rows(since, until)
                by_hour = await store.usage(["hour"], {}, rows)
                (whole,) = await store.usage([], {}, rows)
                by_day = await store.usage(["day", "model"], {"virtual_key": "me"}, rows)
                total = sum(row["nano"] for row in by_hour)
                assert (whole["nano"] or 0) == total == sum(row["nano"] for row in by_day), (since, until)

    on_store(kind, tmp_path, test)


def minute_row(minute: int, requests: int = 1, status: str = "200", **fields: Any) -> Row:
    names = {"virtual_key": "me", "team": "", "customer": "", "provider": "openai", "model": "gpt-4o", "variant": ""}
    return {
        "minute": minute,
        **names,
        "status": status,
        **dict.fromkeys(REQUEST_SUMS, 0),
        "requests": requests,
        **fields,
    }


@STORES
def test_minutes_are_deleted_and_hours_stay(kind: str, tmp_path: Path) -> None:
    rows = [minute_row(DAY + number * 60, status=status) for number in range(90) for status in ("200", "429")]

    async def test(store: Store) -> None:
        await store.commit(Batch(minutes=rows))

        async def requests(*by: str, until: float = 1e11) -> list[Any]:
            found = await store.sums(REQUEST_SERIES, by, {}, Rows(0, until))
            return [tuple(row[name] for name in (*by, "requests")) for row in found]

        assert len(await requests("minute")) == 90
        assert await requests("hour", "status") == [
            *[(DAY, one, 60) for one in ("200", "429")],
            *[(DAY + HOUR_S, one, 30) for one in ("200", "429")],
        ]
        deleted = []
        while count := await store.upkeep.prune_minutes(DAY + 70 * 60, at_most=25):
            deleted.append(count)
        assert sum(deleted) == 140
        assert max(deleted) <= 26, "whole minutes"
        assert len(await requests("minute")) == 20
        assert await requests() == [(180,)]

    on_store(kind, tmp_path, test)


@pytest.mark.parametrize("span", [HOUR_S, DAY_S])
def test_rows_of_a_span_are_summed_before_they_are_written(span: int) -> None:
    rows = USAGE_SERIES.rows(span, [usage(DAY, nano=1), usage(DAY + HOUR_S, nano=2), usage(DAY + HOUR_S, nano=4)])
    assert [row["nano"] for row in rows] == ([1, 6] if span == HOUR_S else [7])
