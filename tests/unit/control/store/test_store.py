"""The store on SQLite and PostgreSQL: atomic batches, sums, pages and the deletion of old rows."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest
from sqlalchemy import text

from fakes.control import record, request_id
from integration.databases import database
from integration.gateway import run
from pointsman.control.store import request_log
from pointsman.control.store.database import RejectedError, StoreError, store_url
from pointsman.control.store.reports import Rows, first_id
from pointsman.control.store.request_log import RequestRow
from pointsman.control.store.store import Batch, JournalState, Store
from pointsman.control.store.tables import TAG_KEYS, Row
from pointsman.journal.reader import Position

DAY = 20_000 * 86_400
ALL = Rows(0, 1e11)
REST = ("", "", "", "", 0, 0, 0)  # of a row of requests
STORES = pytest.mark.parametrize("kind", ["sqlite", "postgresql"])


@asynccontextmanager
async def opened(kind: str, folder: Path) -> AsyncIterator[Store]:
    async with database() if kind == "postgresql" else _nothing() as url:
        store = await Store.open(store_url(url, folder))
        try:
            yield store
        finally:
            await store.close()


@asynccontextmanager
async def _nothing() -> AsyncIterator[None]:
    yield None


def on_store(kind: str, folder: Path, test: Callable[[Store], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        async with opened(kind, folder) as store:
            await test(store)

    run(main())


def usage(hour: int, key: str = "me", nano: int = 5, **fields: Any) -> Row:
    sums = ("attempts", "failures", "tokens_in", "tokens_out", "tokens_cached", "tokens_reasoning")
    names = {"team": "", "customer": "", "provider": "openai", "model": "gpt-4o", "variant": ""}
    return {
        "hour": hour, "virtual_key": key, **names, **dict.fromkeys(sums, 1), "nano": nano, "reserved_nano": 0,
        "unpriced": 0, "estimated_nano": 0, "held_nano": 0, **fields,
    }  # fmt: skip


def request(number: int, at: float, key: str = "me", status: Any = 200) -> RequestRow:
    one = request_id(number, at)
    return (one, at, key, "chat", "openai", status, 70, record(one, at), f"client-{number}", 0, 0, *REST)


def unsettled(attempt: str, nano: int = 3, held: int = 0, **fields: Any) -> Row:
    """Return an attempt without a reported cost, in one window of a day, which counts `nano` and `held` of it."""
    counters = [["virtual_key:me|usd|day", DAY, DAY + 86_400, "usd"]]
    return {
        "attempt_id": attempt, "at": DAY + 1.0, "virtual_key": "me", "provider": "openai", "model": "gpt-4o",
        "nano": nano, "tokens": 9, "state": "open", "source": "estimated", "held_nano": held, "tokens_used": 4,
        "hour": DAY, "team": "", "customer": "", "variant": "", "counters": json.dumps(counters),
        "until": DAY + 86_400, "reconciled_nano": 0, "reconciled_at": 0.0, **fields,
    }  # fmt: skip


def counter(epoch: int, posted: int, start: int = DAY, end: int = DAY + 86_400) -> Row:
    name = "virtual_key:me|usd|day"
    return {"counter": name, "window_start": start, "epoch": epoch, "window_end": end, "posted": posted}


@STORES
def test_batches_add_up(kind: str, tmp_path: Path) -> None:
    async def test(store: Store) -> None:
        state = JournalState(Position(1, 200), Position(0, 48))
        await store.commit(Batch(journals={"j": state}, counters=[counter(1, 10), counter(2, 1)], usage=[usage(DAY)]))
        state = JournalState(Position(2, 48), Position(2, 48), is_retired=True)
        await store.commit(Batch(journals={"j": state}, counters=[counter(1, 5)], usage=[usage(DAY, nano=2**62)]))
        assert await store.journals() == {"j": state}
        assert sorted(await store.counters(DAY)) == [
            (counter(1, 0)["counter"], DAY, 1, 15),
            (*[counter(1, 0)["counter"], DAY], 2, 1),
        ]
        (row,) = await store.usage([], {}, ALL)
        assert row["nano"] == 2**62 + 5
        assert row["attempts"] == 2

    on_store(kind, tmp_path, test)


@STORES
def test_batch_is_atomic(kind: str, tmp_path: Path) -> None:
    async def test(store: Store) -> None:
        bad = request(1, DAY, status=None)
        batch = Batch(
            journals={"j": JournalState(Position(), Position())},
            counters=[counter(1, 10)],
            usage=[usage(DAY)],
            requests=[bad],
        )
        with pytest.raises(StoreError):
            await store.commit(batch)
        assert await store.journals() == {}
        assert await store.counters(DAY) == []
        assert [row["nano"] for row in await store.usage([], {}, ALL)] == [None]

    on_store(kind, tmp_path, test)


TOO_MUCH = 1 << 63


@STORES
def test_sum_that_overflows_is_rejected_and_stays_unchanged(kind: str, tmp_path: Path) -> None:
    async def test(store: Store) -> None:
        await store.commit(Batch(counters=[counter(1, TOO_MUCH - 1)]))
        with pytest.raises(RejectedError):
            await store.commit(Batch(counters=[counter(1, 1)]))
        assert [row[3] for row in await store.counters(DAY)] == [TOO_MUCH - 1]

    on_store(kind, tmp_path, test)


@STORES
def test_rejection_is_found_without_writing(kind: str, tmp_path: Path) -> None:
    async def test(store: Store) -> None:
        assert await store.rejection(Batch(counters=[counter(1, 10)], usage=[usage(DAY)])) is None
        why = await store.rejection(Batch(counters=[counter(1, 10)], usage=[usage(DAY, nano=TOO_MUCH)]))
        assert why is not None
        assert await store.counters(DAY) == []

    on_store(kind, tmp_path, test)


REFUSED_BY = {
    "too large": ("both", usage(DAY, nano=TOO_MUCH)),
    "no text": ("both", usage(DAY, model="a\ud800")),
    "none": ("both", usage(DAY, model=None)),
    "NUL": ("postgresql", usage(DAY, model="a\0b")),
    "a long name": ("postgresql", usage(DAY, model=token_hex(5000))),
}


@STORES
@pytest.mark.parametrize("name", REFUSED_BY)
def test_rejected_values_are_distinguished_from_a_failing_store(kind: str, name: str, tmp_path: Path) -> None:
    where, row = REFUSED_BY[name]

    async def test(store: Store) -> None:
        if where in ("both", kind):
            with pytest.raises(RejectedError):
                await store.commit(Batch(usage=[row]))
        else:
            await store.commit(Batch(usage=[row]))
        async with store._engine.begin() as connection:
            await connection.execute(text("DROP TABLE usage"))
        with pytest.raises(StoreError) as caught:
            await store.commit(Batch(usage=[usage(DAY)]))
        assert not isinstance(caught.value, RejectedError)

    on_store(kind, tmp_path, test)


@STORES
def test_repeated_rows_are_not_written_again(kind: str, tmp_path: Path) -> None:
    async def test(store: Store) -> None:
        lost = unsettled("a-1")
        for _ in range(2):
            await store.commit(Batch(requests=[request(1, DAY), request(2, DAY)], unsettled=[lost]))
        assert len(await store.requests({}, 10)) == 2
        assert [row["attempt_id"] for row in await store.unsettled(10)] == ["a-1"]

    on_store(kind, tmp_path, test)


@STORES
def test_counters_of_long_ended_windows_are_left_out(kind: str, tmp_path: Path) -> None:
    async def test(store: Store) -> None:
        await store.commit(Batch(counters=[counter(1, 1), counter(1, 2, DAY - 86_400, DAY)]))
        assert sorted(row[3] for row in await store.counters(DAY + 1)) == [1, 2], "attempts may still be charged to it"
        assert [row[3] for row in await store.counters(DAY + 3601)] == [1]

    on_store(kind, tmp_path, test)


@STORES
def test_sums_by_column_hour_and_day(kind: str, tmp_path: Path) -> None:
    async def test(store: Store) -> None:
        rows = [usage(DAY, "a"), usage(DAY + 3600, "a"), usage(DAY + 86_400, "a", nano=7), usage(DAY, "b", nano=9)]
        await store.commit(Batch(usage=rows))

        async def nanos(by: list[str], filters: Row | None = None, rows: Rows = ALL) -> list[tuple[Any, ...]]:
            found = await store.usage(by, filters or {}, rows)
            return [(*(row[name] for name in by), row["nano"]) for row in found]

        assert await nanos(["virtual_key"]) == [("a", 17), ("b", 9)]
        assert await nanos(["day"], {"virtual_key": "a"}) == [(DAY, 10), (DAY + 86_400, 7)]
        assert await nanos(["hour"], {"virtual_key": "a"}) == [(DAY, 5), (DAY + 3600, 5), (DAY + 86_400, 7)]
        assert await nanos(["virtual_key", "day"], {}, Rows(DAY + 1800, DAY + 3600)) == [("a", DAY, 5), ("b", DAY, 9)]
        assert await nanos(["virtual_key"], {}, Rows(0, 1e11, limit=1, offset=1)) == [("b", 9)]
        assert all(type(row["nano"]) is int for row in await store.usage(["day"], {}, ALL))

    on_store(kind, tmp_path, test)


@STORES
def test_sums_by_tag(kind: str, tmp_path: Path) -> None:
    async def test(store: Store) -> None:
        sums = {"requests": 1, "tokens_in": 2, "tokens_out": 3, "nano": 4, "estimated_nano": 1, "reserved_nano": 2}
        whose = dict.fromkeys(TAG_KEYS[2:], "")
        tags = [
            {"hour": DAY + 3600 * n, "tag": tag, **whose, "virtual_key": key, **sums}
            for n in range(2)
            for tag, key in (("env=dev", "a"), ("env=dev", "b"), ("env=prod", "a"))
        ]
        await store.commit(Batch(tags=tags))
        await store.commit(Batch(tags=tags[:1]))

        async def nanos(by: list[str], filters: Row | None = None) -> list[tuple[Any, ...]]:
            found = await store.usage(by, filters or {}, ALL, of_requests=True)
            return [(*(row[name] for name in by), row["nano"]) for row in found]

        assert await nanos(["tag"]) == [("env=dev", 20), ("env=prod", 8)]
        assert await nanos(["tag", "virtual_key"], {"tag": "env=dev"}) == [("env=dev", "a", 12), ("env=dev", "b", 8)]
        assert await nanos(["tag"], {"virtual_key": "b"}) == [("env=dev", 8)]
        (row,) = await store.usage(["day"], {"tag": "env=dev"}, ALL, of_requests=True)
        assert (row["day"], row["requests"]) == (DAY, 5)

    on_store(kind, tmp_path, test)


@STORES
def test_requests_are_paged_newest_first(kind: str, tmp_path: Path) -> None:
    async def test(store: Store) -> None:
        rows = [request(number, DAY + number, "a" if number % 2 else "b") for number in range(10)]
        await store.commit(Batch(requests=rows))
        ids = [row[0] for row in rows]
        found = [row["request_id"] for row in await store.requests({}, 4)]
        assert found == ids[:5:-1]
        assert [row["request_id"] for row in await store.requests({}, 4, before=found[-1])] == ids[5:1:-1]
        assert [row["request_id"] for row in await store.requests({"virtual_key": "a"}, 3)] == [ids[9], ids[7], ids[5]]
        assert [row["request_id"] for row in await store.requests({}, 9, after=first_id(DAY + 8))] == [ids[9], ids[8]]
        one = await store.request(ids[3])
        assert one is not None
        assert bytes(one["record"]) == rows[3][7]
        assert await store.request("none") is None

    on_store(kind, tmp_path, test)


@STORES
def test_old_requests_are_deleted_in_batches(kind: str, tmp_path: Path) -> None:
    async def test(store: Store) -> None:
        await store.commit(Batch(requests=[request(number, DAY + number) for number in range(10)]))
        assert await store.prune(DAY + 5, at_most=3) == 3
        assert await store.prune(DAY + 5, at_most=3) == 2
        assert await store.prune(DAY + 5, at_most=3) == 0
        assert len(await store.requests({}, 100)) == 5

    on_store(kind, tmp_path, test)


@STORES
def test_store_works_after_its_connections_were_dropped(kind: str, tmp_path: Path) -> None:
    async def test(store: Store) -> None:
        await store.commit(Batch(usage=[usage(DAY)]))
        await store.reconnect()
        assert await store.checkpoint()
        assert len(await store.usage(["virtual_key"], {}, ALL)) == 1

    on_store(kind, tmp_path, test)


def test_locked_store_fails_and_recovers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pointsman.control.store.database.TIMEOUT_S", 0.05)

    async def test(store: Store) -> None:
        other = sqlite3.connect(tmp_path / "pointsman.db", isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreError, match="database is locked"):
            await store.commit(Batch(usage=[usage(DAY)]))
        other.execute("ROLLBACK")
        other.close()
        await store.commit(Batch(usage=[usage(DAY)]))
        assert len(await store.usage(["virtual_key"], {}, ALL)) == 1

    on_store("sqlite", tmp_path, test)


def sums_of(rows: list[Row], *names: str) -> tuple[int, ...]:
    return tuple(sum(row[name] for row in rows) for name in names)


async def with_two_unsettled(store: Store) -> tuple[str, str]:
    """Write a request of two attempts without reported costs: estimated at 30 and held at 100; reserved at 50."""
    one = request_id(1, DAY)
    attempts = [
        {"cost_nano": 30, "usage_source": "estimated", "held_nano": 70},
        {"cost_nano": 50, "usage_source": "reserved"},
    ]
    line = record(one, DAY, attempts=attempts, cost_nano=80, estimated_nano=30, reserved_nano=50, tags={"env": "dev"})
    row = (one, DAY, "me", "chat", "openai", 200, 80, line, "", 30, 50, *REST)
    tag = {"hour": DAY, "tag": "env=dev", "virtual_key": "me", "team": "research", "customer": ""}
    tag |= {"provider": "openai", "model": "gpt-4o", "variant": "", "requests": 1, "tokens_in": 0, "tokens_out": 0}
    await store.commit(
        Batch(
            counters=[counter(7, 150)],
            usage=[usage(DAY, nano=80, estimated_nano=30, reserved_nano=50, held_nano=70)],
            tags=[{**tag, "nano": 80, "estimated_nano": 30, "reserved_nano": 50}],
            requests=[row],
            unsettled=[unsettled(f"{one}-1", 30, 70), unsettled(f"{one}-2", 50, source="reserved", tokens_used=9)],
        )
    )
    return f"{one}-1", f"{one}-2"


async def posted(store: Store) -> int:
    return sum(row[3] for row in await store.counters(DAY + 2))


@STORES
def test_attempt_is_reconciled_once(kind: str, tmp_path: Path) -> None:
    async def test(store: Store) -> None:
        first, second = await with_two_unsettled(store)
        found = await store.reconcile({first: 44, "nobody's-1": 5}, DAY + 9.0)
        assert "no such attempt" in found.rejected.pop("nobody's-1")
        assert not found.rejected
        assert found.corrections == [("virtual_key:me|usd|day", DAY, 44 - 100)]
        assert await posted(store) == 150 - 56
        again = await store.reconcile({first: 1}, DAY + 10.0)
        assert "already reconciled" in again.rejected[first]
        assert again.corrections == found.corrections, "a repetition returns corrections whose answer was lost"
        assert await posted(store) == 150 - 56
        rows = await store.usage([], {}, ALL)
        assert sums_of(rows, "nano", "estimated_nano", "reserved_nano", "held_nano") == (94, 0, 50, 0)
        (row,) = await store.usage(["tag"], {}, ALL, of_requests=True)
        assert (row["nano"], row["estimated_nano"], row["reserved_nano"], row["requests"]) == (94, 0, 50, 1)
        (row,) = await store.requests({}, 5)
        assert (row["nano"], row["estimated_nano"], row["reserved_nano"]) == (94, 0, 50)
        stored = json.loads(row["record"])
        assert (stored["cost_nano"], stored["attempts"][0]["usage_source"]) == (94, "reconciled")
        assert [one["attempt_id"] for one in await store.unsettled(9)] == [second]

    on_store(kind, tmp_path, test)


@STORES
def test_unreconciled_attempt_lapses_when_its_windows_end(kind: str, tmp_path: Path) -> None:
    async def test(store: Store) -> None:
        first, second = await with_two_unsettled(store)
        assert await store.lapse(DAY + 86_399) == 0
        assert await store.lapse(DAY + 86_400) == 2
        assert await store.lapse(DAY + 86_400) == 0
        assert await posted(store) == 80, "the report matches the counters"
        rows = await store.usage([], {}, ALL)
        assert sums_of(rows, "nano", "estimated_nano", "reserved_nano", "held_nano") == (80, 30, 50, 0)
        found = await store.reconcile({first: 10, second: 0}, DAY + 90_000)
        assert not found.rejected, "the invoice may come later"
        assert await posted(store) == 10
        rows = await store.usage([], {}, ALL)
        assert sums_of(rows, "nano", "estimated_nano", "reserved_nano", "held_nano") == (10, 0, 0, 0)
        assert await store.prune(DAY - 1) == 0
        assert await store.prune(DAY + 100) == 1 + 2

    on_store(kind, tmp_path, test)


@STORES
def test_attempt_of_an_open_request_is_not_reconciled(kind: str, tmp_path: Path) -> None:
    async def test(store: Store) -> None:
        name = f"{request_id(5, DAY)}-1"
        await store.commit(Batch(counters=[counter(7, 3)], usage=[usage(DAY, nano=3)], unsettled=[unsettled(name)]))
        assert "not ended" in (await store.reconcile({name: 1}, DAY + 9.0)).rejected[name]
        assert await posted(store) == 3
        later = await store.reconcile({name: 1}, DAY + 2 * 86_400.0)
        assert not later.rejected, "its record was deleted"

    on_store(kind, tmp_path, test)


@STORES
def test_concurrent_reconciliations_count_once(kind: str, tmp_path: Path) -> None:
    async def test(store: Store) -> None:
        first, _ = await with_two_unsettled(store)
        found = await asyncio.gather(*(store.reconcile({first: 10}, DAY + 9.0) for _ in range(4)))
        assert sum(not one.rejected for one in found) == 1
        assert await posted(store) == 150 - 90

    on_store(kind, tmp_path, test)


@STORES
def test_requests_are_followed_in_the_order_of_their_ingestion(kind: str, tmp_path: Path) -> None:
    """Ids sort by the arrival of requests, so one that took long is stored after later ones."""

    async def test(store: Store) -> None:
        assert (await store.newest(), await store.stored_after(0, 9)) == (0, [])
        await store.commit(Batch(requests=[request(5, DAY), request(6, DAY)]))
        newest = await store.newest()
        assert [number <= newest for number, _ in await store.stored_after(0, 9)] == [True, True]
        await store.commit(Batch(requests=[request(1, DAY), request(6, DAY), request(7, DAY)]))
        found = await store.stored_after(newest, 9)
        assert [json.loads(line)["request_id"] for _, line in found] == [request_id(1, DAY), request_id(7, DAY)]
        assert [number for number, _ in found] == sorted({number for number, _ in found})
        assert await store.stored_after(found[0][0], 1) == [found[1]]

    on_store(kind, tmp_path, test)


def test_numbers_of_requests_grow_after_a_restart_and_a_clock_that_goes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        numbers = []
        for count, now in enumerate((2_000_000_000.0, 1_000_000_000.0, 2_000_000_001.0)):
            monkeypatch.setattr(request_log, "time", lambda now=now: now)
            async with opened("sqlite", tmp_path) as store:
                await store.commit(Batch(requests=[request(count, DAY)]))
                numbers.append(await store.newest())
        assert numbers == sorted(set(numbers))
        assert numbers[1] == numbers[0] + 1

    run(main())
