"""Records that the store rejects, or that are unusable, are quarantined. All others are ingested."""

import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from fakes.control import DAY_COUNTER, scope, write_request
from fakes.ingestion import Ingestion, journal_writer
from integration.databases import database
from integration.gateway import run
from pointsman.control import ingest as module
from pointsman.control.store.database import StoreError
from pointsman.control.store.store import Batch, Store
from pointsman.journal.records import Outcome
from pointsman.journal.writer import JournalWriter

STORES = pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
TOO_MUCH = 1 << 63


@asynccontextmanager
async def address(kind: str) -> AsyncIterator[str | None]:
    if kind == "sqlite":
        yield None
    else:
        async with database() as url:
            yield url


def on_store(kind: str, test: Callable[[str | None], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        async with address(kind) as url:
            await test(url)

    run(main())


def attempt(writer: JournalWriter, name: str, at: float, nano: int, tokens: int = 1) -> None:
    of = scope()
    writer.intent(of, name, 1, at, 1000, 100)
    writer.store(of, Outcome(of.number, name, 1, at, nano, tokens, 0, 0, 0, "ok", "reported"))


# Records that a store may reject, or that are unusable. Each has a function that writes it, and the nano-dollars that
# are charged nevertheless.
BAD: dict[str, tuple[Callable[[JournalWriter], None], int]] = {
    "an amount over 63 bits": (lambda writer: attempt(writer, "a", time.time(), TOO_MUCH), 0),
    "tokens over 63 bits": (lambda writer: attempt(writer, "a", time.time(), 33, TOO_MUCH), 33),
    "a time beyond all calendars": (lambda writer: attempt(writer, "a", 1e300, 33), 0),
    "a time that is not a number": (lambda writer: attempt(writer, "a", float("nan"), 33), 0),
    "malformed JSON": (lambda writer: writer.request(b"{"), 0),
    "invalid UTF-8": (lambda writer: writer.request(b'{"request_id": "\xff", "time": 1.0, "status": 200}'), 0),
    "a record with a cost over 63 bits": (
        lambda writer: writer.request(b'{"request_id": "a", "time": 1.0, "status": 200, "cost_nano": %d}' % TOO_MUCH),
        0,
    ),
    "a record with a time beyond all calendars": (
        lambda writer: writer.request(b'{"request_id": "a", "time": 1e300, "status": 200, "tags": {"a": "b"}}'),
        0,
    ),
}


async def posted_of(store: Store) -> int:
    return sum(amount for counter, _, _, amount in await store.counters(time.time()) if counter == DAY_COUNTER)


@STORES
@pytest.mark.parametrize("name", BAD)
def test_rejected_record_is_quarantined_and_others_are_ingested(
    name: str, kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_bad, charged = BAD[name]

    async def test(url: str | None) -> None:
        writer, other = journal_writer(tmp_path, epoch=1), journal_writer(tmp_path, epoch=2)
        for number in range(10):
            write_request(writer, number, time.time())
            write_request(other, 100 + number, time.time())
            if number == 4:
                write_bad(writer)
        ingestion = Ingestion(tmp_path, url)
        await ingestion.read()
        store = ingestion.ingest.store
        assert store is not None
        assert ingestion.ingest.state.problem is None
        assert ingestion.ingest.state.rejected == 1
        assert ingestion.posted == await posted_of(store) == 20 * 70 + charged
        assert await ingestion.total() == 20 * 70
        assert len({row["request_id"] for row in await store.requests({}, 100)} - {"a"}) == 20
        assert caplog.text.count("1 record(s) quarantined in") == 1
        assert f"{tmp_path}/quarantine.jsonl; first epoch 1, segment 0, byte" in caplog.text
        write_request(writer, 50, time.time())
        await ingestion.read()
        assert ingestion.posted == await posted_of(store) == 21 * 70 + charged
        await ingestion.ingest.finish(5)
        again = Ingestion(tmp_path, url)
        await again.read()
        assert (again.posted, again.ingest.state.rejected) == (21 * 70 + charged, 1)
        await again.ingest.finish(5)
        for one in (writer, other):
            one.close()

    on_store(kind, test)


@STORES
def test_many_rejected_records_are_quarantined_in_several_transactions(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_BATCH", 40)
    monkeypatch.setattr(module, "MAX_RECORDS", 7)

    async def test(url: str | None) -> None:
        writers, now = [journal_writer(tmp_path, epoch=epoch) for epoch in (1, 2)], time.time()
        for number in range(60):
            for epoch, writer in enumerate(writers):
                write_request(writer, 100 * epoch + number, now)
            if number % 3 == 0:
                attempt(writers[0], f"bad-{number}", now, 1, TOO_MUCH)
        ingestion = Ingestion(tmp_path, url)
        await ingestion.read()
        store = ingestion.ingest.store
        assert store is not None
        assert ingestion.ingest.state.problem is None
        assert ingestion.ingest.state.rejected == 20
        assert ingestion.posted == await posted_of(store) == 120 * 70 + 20
        assert await ingestion.total() == 120 * 70
        await ingestion.ingest.finish(5)
        for writer in writers:
            writer.close()

    on_store(kind, test)


@STORES
def test_rejected_open_request_of_a_dead_worker_is_quarantined(kind: str, tmp_path: Path) -> None:
    async def test(url: str | None) -> None:
        writer, now = journal_writer(tmp_path), time.time()
        for number, nano in enumerate((1000, TOO_MUCH, 2000)):
            writer.intent(scope(), f"00000000-open-{number}", 1, now, nano, 10)
        writer.intent(scope(), "00000000-open-never", 1, 1e300, 1, 10)
        writer.close()
        ingestion = Ingestion(tmp_path, url)
        await ingestion.read()
        store = ingestion.ingest.store
        assert store is not None
        assert len(ingestion.retired) == 1
        assert ingestion.ingest.is_ready.is_set()
        assert ingestion.ingest.state.rejected == 2
        assert ingestion.posted == await posted_of(store) == await ingestion.total() == 3000
        await ingestion.ingest.finish(5)

    on_store(kind, test)


@STORES
def test_records_count_once_whenever_control_is_killed(kind: str, tmp_path: Path) -> None:
    """The store fails while a batch is written record by record, and another control process starts again."""
    write = Store._write
    writes_left = 0

    async def breaking(store: Store, connection: AsyncConnection, batch: Batch) -> None:
        nonlocal writes_left
        writes_left -= 1
        if writes_left < 0:
            raise ConnectionResetError("it is gone")
        await write(store, connection, batch)

    async def test(url: str | None) -> None:
        nonlocal writes_left
        writer, round_, breaks = journal_writer(tmp_path), 0, 1
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Store, "_write", breaking)
            while breaks:
                for number in range(4):
                    write_request(writer, 10 * round_ + number, time.time())
                    if number == 2:
                        attempt(writer, f"bad-{round_}", time.time(), 33, TOO_MUCH)
                writes_left, breaks = round_, 0
                round_ += 1
                while True:
                    ingestion = Ingestion(tmp_path, url)
                    while not await ingestion.ingest.step():
                        pass
                    store = ingestion.ingest.store
                    assert store is not None
                    if ingestion.ingest.state.problem is None:
                        break
                    breaks += 1
                    writes_left = 10_000
                    await store.close()
                assert ingestion.posted == await posted_of(store) == round_ * (4 * 70 + 33)
                assert await ingestion.total() == round_ * 4 * 70
                assert ingestion.ingest.state.rejected >= round_, "each record is quarantined at least once"
                await ingestion.ingest.finish(5)
        assert round_ > 10
        writer.close()

    on_store(kind, test)


@STORES
def test_lost_answer_to_a_record_by_record_commit_changes_nothing(kind: str, tmp_path: Path) -> None:
    async def test(url: str | None) -> None:
        writer, ingestion = journal_writer(tmp_path), Ingestion(tmp_path, url)
        await ingestion.read()
        store = ingestion.ingest.store
        assert store is not None
        commit = store.commit

        async def after_commit(*what: Any) -> Any:
            await commit(*what)
            store.commit = commit  # type: ignore[method-assign]
            raise StoreError("the answer was lost")

        store.commit = after_commit  # type: ignore[method-assign, assignment]
        write_request(writer, 1, time.time())
        attempt(writer, "bad", time.time(), 33, TOO_MUCH)
        await ingestion.ingest.step()
        await ingestion.ingest.step()
        assert ingestion.ingest.state.problem == "the answer was lost"
        await ingestion.read()
        write_request(writer, 2, time.time())
        await ingestion.read()
        assert ingestion.posted == await posted_of(store) == 2 * 70 + 33
        assert ingestion.ingest.state.rejected == 1
        await ingestion.ingest.finish(5)
        writer.close()

    on_store(kind, test)
