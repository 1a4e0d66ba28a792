"""Journals are ingested into the store exactly once and in order, despite failures."""

import asyncio
import sqlite3
import time
from pathlib import Path

import pytest

from fakes.clock import PATIENCE_S, SOON_S, pace
from fakes.control import DAY_COUNTER, scope, write_request
from fakes.ingestion import Ingestion, journal_writer
from integration.gateway import run
from pointsman.control import ingest as module
from pointsman.control.store.database import StoreError, store_url
from pointsman.control.store.ownership import InUseError
from pointsman.control.store.store import Batch, Store
from pointsman.domain.limits import Period
from pointsman.journal.records import ChargeScope, Outcome
from pointsman.journal.segments import segment_path


def test_records_are_ingested_once_over_several_restarts(tmp_path: Path) -> None:
    writer = journal_writer(tmp_path)

    async def main() -> None:
        for start in range(4):
            ingestion = Ingestion(tmp_path)
            await ingestion.read()
            for number in range(25):
                write_request(writer, start * 25 + number, time.time())
            await ingestion.read()
            assert await ingestion.total() == (start + 1) * 25 * 70
            assert ingestion.posted == (start + 1) * 25 * 70, "restored from the store, then charged"
            await ingestion.ingest.finish(PATIENCE_S)

    run(main())
    writer.close()


def test_request_open_during_a_restart_is_charged_once(tmp_path: Path) -> None:
    writer = journal_writer(tmp_path)
    now = time.time()

    async def main() -> None:
        of = scope()
        writer.intent(of, "00000000-open", 1, now, 1000, 10)
        first = Ingestion(tmp_path)
        await first.read()
        await first.ingest.finish(PATIENCE_S)
        writer.store(of, Outcome(of.number, "00000000-open", 1, now, 33, 1, 1, 0, 0, "ok", "reported"))
        second = Ingestion(tmp_path)
        await second.read()
        assert await second.total() == 33
        assert second.posted == 33
        await second.ingest.finish(PATIENCE_S)

    run(main())
    writer.close()


def test_journal_of_a_dead_worker_is_closed_and_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHECKPOINT_S", 0.0)
    writer = journal_writer(tmp_path)

    async def main() -> None:
        ingestion = Ingestion(tmp_path)
        writer.intent(scope(), "00000000-open", 1, time.time(), 1000, 10)
        await ingestion.read()
        assert ingestion.retired == []
        assert ingestion.ingest.open_epochs() == {1}
        writer.close()
        await ingestion.read()
        assert await ingestion.total() == 1000
        assert len(ingestion.retired) == 1
        assert ingestion.ingest.open_epochs() == set()
        await ingestion.read()
        assert list((tmp_path / "journal").iterdir()) == []
        await ingestion.ingest.finish(PATIENCE_S)

    run(main())


def test_store_failure_neither_loses_nor_doubles_records(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    writer = journal_writer(tmp_path)

    async def main() -> None:
        ingestion = Ingestion(tmp_path)
        await ingestion.read()
        store = ingestion.ingest.store
        assert store is not None
        commit = store.commit

        async def after_commit(batch: Batch) -> None:
            await commit(batch)
            raise StoreError("the answer was lost")

        for number in range(10):
            write_request(writer, number, time.time())
            if number % 3 == 0:
                store.commit = after_commit  # type: ignore[method-assign]
                await ingestion.ingest.step()
                assert ingestion.ingest.state.problem == "the answer was lost"
                store.commit = commit  # type: ignore[method-assign]
            await ingestion.read()
            assert ingestion.ingest.state.problem is None
        assert await ingestion.total() == 700
        assert ingestion.posted == 700
        assert caplog.text.count("stays in the journal") == caplog.text.count("the store works again") == 4
        await ingestion.ingest.finish(PATIENCE_S)

    run(main())
    writer.close()


def test_end_of_a_worker_is_reported_after_a_lost_answer_of_the_store(tmp_path: Path) -> None:
    writer = journal_writer(tmp_path)

    async def main() -> None:
        ingestion = Ingestion(tmp_path)
        await ingestion.read()
        store = ingestion.ingest.store
        assert store is not None
        commit = store.commit

        async def after_commit(batch: Batch) -> None:
            await commit(batch)
            raise StoreError("the answer was lost")

        write_request(writer, 1, time.time())
        writer.close()
        store.commit = after_commit  # type: ignore[method-assign]
        await ingestion.ingest.step()
        assert ingestion.retired == []
        store.commit = commit  # type: ignore[method-assign]
        await ingestion.read()
        assert len(ingestion.retired) == 1
        assert ingestion.posted == await ingestion.total() == 70
        await ingestion.read()
        assert len(ingestion.retired) == 1
        await ingestion.ingest.finish(PATIENCE_S)

    run(main())


def test_opening_the_store_is_retried(tmp_path: Path) -> None:
    async def main() -> None:
        ingestion = Ingestion(tmp_path)
        ingestion.failures = 2
        reading = asyncio.create_task(ingestion.ingest.run())
        async with asyncio.timeout(PATIENCE_S):
            await ingestion.ingest.is_ready.wait()
            await ingestion.ingest.finish(PATIENCE_S)
            await reading
        assert ingestion.ingest.state.problem is None

    run(main())


def test_ingested_segments_are_deleted_and_the_backlog_shrinks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHECKPOINT_S", 0.0)
    writer = journal_writer(tmp_path, segment_bytes=1 << 16)

    async def main() -> None:
        ingestion = Ingestion(tmp_path)
        await ingestion.read()
        for number in range(600):
            write_request(writer, number, time.time())
            while writer.dropped or (number % 20 == 0 and writer._next is None):
                await asyncio.sleep(0.001)
        assert ingestion.ingest.backlog_bytes() > 1 << 17
        await ingestion.read()
        await ingestion.read()
        assert ingestion.ingest.backlog_bytes() <= 1 << 16
        assert not segment_path(writer.folder, 0).exists()
        assert await ingestion.total() == 600 * 70
        await ingestion.ingest.finish(PATIENCE_S)

    run(main())
    writer.close()


def test_unreadable_journal_is_logged_once_and_quarantined(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHECKPOINT_S", 0.0)
    other = tmp_path / "journal" / "001-00000000000000000009"
    other.mkdir(parents=True)
    segment_path(other, 0).write_bytes(b"not a segment" * 100)
    writer = journal_writer(tmp_path)

    async def main() -> None:
        ingestion = Ingestion(tmp_path)
        write_request(writer, 1, time.time())
        await ingestion.read()
        await ingestion.read()
        assert await ingestion.total() == 70
        assert ingestion.ingest.state.damage == 2, "its header, and the rest"
        assert caplog.text.count(f"the header of {segment_path(other, 0)} is damaged") == 1
        async with asyncio.timeout(SOON_S):
            await ingestion.ingest.finish(PATIENCE_S)
        kept = other.with_name(f"damaged-{other.name}")
        assert segment_path(kept, 0).read_bytes().startswith(b"not a segment")

    run(main())
    writer.close()


def test_long_reads_yield_to_other_tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = journal_writer(tmp_path, segment_bytes=1 << 23)
    for number in range(2000):
        write_request(writer, number, time.time())

    async def main() -> None:
        ingestion = Ingestion(tmp_path)
        await ingestion.ingest.step()  # opens the store
        turns = 0

        async def others() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        charging = asyncio.create_task(others())
        await ingestion.read()
        assert turns > 6000 / module.MAX_RECORDS
        charging.cancel()
        await ingestion.ingest.finish(PATIENCE_S)

    run(main())
    writer.close()


def test_lease_table_is_ready_when_all_journals_of_dead_workers_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_BATCH", 30)
    monkeypatch.setattr(module, "MAX_RECORDS", 30)
    dead, alive = journal_writer(tmp_path, epoch=1), journal_writer(tmp_path, epoch=2)
    for number in range(100):
        write_request(dead, number, time.time())
        write_request(alive, 1000 + number, time.time())
    dead.close()

    async def main() -> None:
        ingestion = Ingestion(tmp_path)
        steps = 0
        while ingestion.posted < 100 * 70 or not ingestion.retired:
            await ingestion.ingest.step()
            steps += 1
            assert ingestion.ingest.is_ready.is_set() == bool(ingestion.retired)
        assert steps > 5
        assert ingestion.ingest.is_ready.is_set(), "living workers report their own holdings"
        await ingestion.ingest.finish(PATIENCE_S)

    run(main())
    alive.close()


def test_counters_are_restored_quickly(tmp_path: Path) -> None:
    dead = journal_writer(tmp_path, segment_bytes=1 << 26)
    for number in range(10_000):
        write_request(dead, number, time.time())
    dead.close()

    async def main() -> float:
        ingestion = Ingestion(tmp_path)
        reading = asyncio.create_task(ingestion.ingest.run())
        began = time.process_time()  # of all threads; others use this machine too
        await ingestion.ingest.is_ready.wait()
        took_s = time.process_time() - began
        assert ingestion.posted == 10_000 * 70
        await ingestion.ingest.finish(PATIENCE_S)
        await reading
        return took_s

    assert run(main()) < 5 * pace()


def test_finish_waits_for_a_running_commit(tmp_path: Path) -> None:
    writer = journal_writer(tmp_path)

    async def main() -> None:
        ingestion = Ingestion(tmp_path)
        reading = asyncio.create_task(ingestion.ingest.run())
        await ingestion.ingest.is_ready.wait()
        for number in range(50):
            write_request(writer, number, time.time())
            await asyncio.sleep(0)
        await ingestion.ingest.finish(PATIENCE_S)
        await reading
        again = Ingestion(tmp_path)
        await again.read()
        assert await again.total() == 50 * 70
        assert again.ingest.state.records == 0, "the first ingestion had read everything"
        await again.ingest.finish(PATIENCE_S)

    run(main())
    writer.close()


def test_idle_ingestion_makes_no_checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHECKPOINT_S", 0.0)
    checkpoints = 0
    checkpoint = Store.checkpoint

    async def counting(store: Store) -> bool:
        nonlocal checkpoints
        checkpoints += 1
        return await checkpoint(store)

    monkeypatch.setattr(Store, "checkpoint", counting)
    writer = journal_writer(tmp_path)

    async def main() -> None:
        ingestion = Ingestion(tmp_path)
        await ingestion.read()
        for number in range(3):
            before = checkpoints
            write_request(writer, number, time.time())
            await ingestion.read()
            for _ in range(3):
                await ingestion.read()
            assert checkpoints == before + 1
        await ingestion.ingest.finish(PATIENCE_S)

    run(main())
    writer.close()


def test_scopes_of_past_configurations_are_forgotten(tmp_path: Path) -> None:
    """After each reload a worker uses new numbers. No later segment repeats the old scopes."""
    writer = journal_writer(tmp_path, segment_bytes=1 << 14)

    async def main() -> None:
        ingestion = Ingestion(tmp_path)
        await ingestion.read()
        for number in range(200):
            while writer._next is None:
                await asyncio.sleep(0.001)
            write_request(writer, number, time.time(), scope(number))
            if number % 10 == 0:
                await ingestion.read()
        await ingestion.read()
        assert await ingestion.total() == 200 * 70
        (journal,) = ingestion.ingest._journals.values()
        known = [*vars(journal).values(), *vars(journal.reader).values()]
        scopes = [
            one for found in known if isinstance(found, dict) for one in found.values() if type(one) is ChargeScope
        ]
        assert 0 < len(scopes) < 50, "only the scopes of one segment remain"
        await ingestion.ingest.finish(5)

    run(main())
    writer.close()


def test_store_that_lost_commits_is_not_charged_twice(tmp_path: Path) -> None:
    """This holds for records of a living worker and for reservations of a dead one."""
    alive, dead = journal_writer(tmp_path, epoch=1), journal_writer(tmp_path, epoch=2)

    async def main() -> None:
        ingestion = Ingestion(tmp_path)
        write_request(alive, 1, time.time())
        await ingestion.read()
        file, copy = tmp_path / "pointsman.db", tmp_path / "copy.db"
        with sqlite3.connect(file) as connection, sqlite3.connect(copy) as backup:
            connection.backup(backup)
        write_request(alive, 2, time.time())
        dead.intent(scope(), "00000000-open", 1, time.time(), 1000, 10)
        dead.close()
        await ingestion.read()
        assert ingestion.posted == 2 * 70 + 1000
        with sqlite3.connect(file) as connection, sqlite3.connect(copy) as backup:
            backup.backup(connection)
        ingestion.ingest._must_rewind = True
        for _ in range(2):
            await ingestion.read()
            assert ingestion.posted == await ingestion.total() == 2 * 70 + 1000
        write_request(alive, 3, time.time())
        await ingestion.read()
        assert ingestion.posted == await ingestion.total() == 3 * 70 + 1000
        await ingestion.ingest.finish(PATIENCE_S)

    run(main())
    alive.close()


def test_store_claimed_by_another_gateway_grants_no_leases_until_it_is_free(
    tmp_path: Path,
) -> None:
    writer = journal_writer(tmp_path)

    async def main() -> None:
        ingestion = Ingestion(tmp_path)
        ingest = ingestion.ingest
        ingest.is_shared = True
        assert not ingest.is_owner, "another gateway may own the store"
        write_request(writer, 1, time.time())
        await ingestion.read()
        assert ingest.is_owner
        assert ingest.is_ready.is_set()
        store = ingest.store
        assert store is not None

        async def taken(_: Batch) -> None:
            raise InUseError("on another host", 1.0, 0.0)

        store.commit = taken
        write_request(writer, 2, time.time())
        await ingest.step()
        assert "another gateway (on another host)" in str(ingest.state.problem)
        assert not ingest.is_ready.is_set()
        assert not ingest.is_owner
        assert ingest.unable.reason == "the store is in use by another gateway"
        assert ingest.store is None
        other = await Store.open(store_url(None, tmp_path))  # what the other one spent meanwhile
        row = {"counter": DAY_COUNTER, "window_start": Period("day").window(time.time())[0], "epoch": 77}
        await other.commit(Batch(counters=[{**row, "window_end": 1 << 40, "posted": 500}]))
        await other.close()
        await ingestion.read()
        assert ingest.is_ready.is_set()
        assert ingestion.posted == 2 * 70 + 500
        await ingest.finish(PATIENCE_S)

    run(main())
    writer.close()
