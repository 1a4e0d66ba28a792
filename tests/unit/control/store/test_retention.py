"""Deletion by age and size: requests with all that belongs to them, and never any spending."""

from pathlib import Path

import msgspec
import pytest
from sqlalchemy import func, select

from fakes.control import record, request_id
from pointsman.control.store import retention
from pointsman.control.store.reports import Rows
from pointsman.control.store.request_log import request_row
from pointsman.control.store.request_tally import RequestTally
from pointsman.control.store.store import Batch, Store
from pointsman.control.store.tables import (
    COUNTERS,
    FEEDBACK,
    REQUEST_SIZES,
    REQUEST_TAGS,
    REQUESTS,
    SESSION_AGENTS,
    SESSIONS,
    UNSETTLED,
)
from pointsman.domain.records import RequestRecord
from unit.control.store.test_store import DAY, STORES, counter, on_store, unsettled, usage

_DECODER = msgspec.json.Decoder(RequestRecord)
OLD, NEW = 100, 20


async def fill(store: Store) -> None:
    """Write a request each ten seconds, in sessions of ten, and the spending of one of the oldest attempts."""
    tally, rows, tags = RequestTally(), [], []
    for number in range(OLD + NEW):
        one, at = request_id(number, DAY + number * 10), DAY + number * 10.0
        line = record(one, at, session=f"s-{number // 10}", agent="a", tags={"n": str(number)})
        request = _DECODER.decode(line)
        rows.append(request_row(request, line))
        tags.append({"request_id": one, "tag": f"n={number}"})
        tally.add(request)
    scores = [
        {"request_id": row[0], "owner": "virtual_key:me", "at": row[1], "score": 1.0, "comment": ""} for row in rows
    ]
    await store.commit(
        Batch(
            counters=[counter(1, 500)],
            usage=[usage(DAY, nano=500, held_nano=7)],
            requests=rows,
            request_tags=tags,
            feedback=scores,
            minutes=tally.minutes(),
            tags=tally.tags(),
            sessions=tally.sessions(),
            agents=tally.agents(),
            unsettled=[unsettled("open-1", held=7), unsettled("done-1", state="lapsed")],
        )
    )


async def count(store: Store, table: object) -> int:
    (row,) = await store._rows(select(func.count().label("n")).select_from(table))  # type: ignore[arg-type]
    return int(row["n"])


@STORES
@pytest.mark.parametrize("at_most", [7, 1000])
def test_everything_of_old_requests_is_deleted_and_spending_stays(kind: str, at_most: int, tmp_path: Path) -> None:
    async def test(store: Store) -> None:
        await fill(store)
        end = DAY + OLD * 10
        deleted = []
        while number := await store.prune(end, at_most):
            deleted.append(number)
        assert max(deleted) <= 4 * at_most
        for table in (REQUESTS, REQUEST_TAGS, FEEDBACK):
            assert await count(store, table) == NEW, table
        assert await count(store, SESSIONS) == await count(store, SESSION_AGENTS) == NEW // 10
        assert await count(store, REQUEST_SIZES) == 4, "those of minutes that have requests"
        assert [row["attempt_id"] for row in await store.unsettled(9)] == ["open-1"], "a limit holds more for it"
        assert await count(store, UNSETTLED) == 1
        assert await count(store, COUNTERS) == 1
        (row,) = await store.usage([], {}, Rows(0, 1e11))
        assert (row["nano"], row["held_nano"]) == (500, 7)
        (tagged,) = await store.usage([], {}, Rows(0, 1e11), of_requests=True)
        assert tagged["requests"] == OLD + NEW

    on_store(kind, tmp_path, test)


@STORES
def test_space_of_requests_has_a_bound(kind: str, tmp_path: Path) -> None:
    async def test(store: Store) -> None:
        await fill(store)
        (size,) = await store._rows(select(func.sum(REQUEST_SIZES.c.bytes).label("all")))
        each = float(size["all"]) / (OLD + NEW) + retention.ROW_BYTES
        assert await store.upkeep.oldest_within(int(each * (OLD + NEW + 1))) == 0.0
        oldest = await store.upkeep.oldest_within(int(each * 40))
        while await store.prune(oldest):
            pass
        assert 34 <= await count(store, REQUESTS) <= 40, "whole minutes"
        assert await store.upkeep.oldest_within(1) == DAY + 1140, "the newest minute stays"
        assert await store.upkeep.oldest_within(int(each * 41)) == 0.0

    on_store(kind, tmp_path, test)


def test_deleted_requests_give_their_space_back(tmp_path: Path) -> None:
    async def test(store: Store) -> None:
        await fill(store)
        many = [
            request_row(_DECODER.decode(line), line)
            for line in (record(request_id(n, DAY), DAY, message="x" * 5000) for n in range(1000, 1400))
        ]
        await store.commit(Batch(requests=many))
        before = await store.upkeep.space()
        assert before.can_shrink
        while await store.prune(DAY + 1e6):
            pass
        space = await store.upkeep.space()
        assert space.free > 1_000_000
        await store.upkeep.shrink(20)
        assert (await store.upkeep.space()).free_pages == space.free_pages - 20, "a step is bounded"
        await store.upkeep.shrink(10_000)
        after = await store.upkeep.space()
        assert (after.free, after.size) == (0, before.size - (space.free - 0) - (space.size - before.size))
        assert await store.checkpoint()
        assert (tmp_path / "pointsman.db").stat().st_size == after.size

    on_store("sqlite", tmp_path, test)
