"""Batches in the store: a result replaces only `sent`, and a settlement happens once."""

import time
from pathlib import Path

import pytest

from fakes.batches import MOST, WORK, write_batch
from fakes.control import DAY_COUNTER, record, request_id, scope
from fakes.ingestion import ALL, Ingestion, journal_writer
from integration.databases import database
from integration.gateway import run
from pointsman.control.store.batches import ModelCost, Settlement, open_rows
from pointsman.domain.batches import SENT, encode_work
from pointsman.domain.outcomes import Usage
from pointsman.domain.state import MADE, Record
from pointsman.journal.records import BatchRecord, StateRecord


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_settlement_happens_once_and_frees_the_rest(kind: str, tmp_path: Path) -> None:
    async def check(url: str | None) -> None:
        ingestion, of = Ingestion(tmp_path, url), scope(model="")
        name = request_id(1, time.time())
        with_writer = journal_writer(tmp_path)
        attempt = write_batch(with_writer, of, name)
        await ingestion.read()
        store = ingestion.ingest.store
        assert store is not None
        [row] = open_rows(await store.batches())
        assert (row["attempt_id"], row["batch_id"], row["state"]) == (attempt, f"b-{name}", "made")
        assert (row["held_nano"], ingestion.posted) == (MOST.nano, MOST.nano)
        assert DAY_COUNTER in row["limits"]
        costs = (ModelCost("gpt-4o", 2, 1, usage=Usage(10, 20), nano=25),)
        done = Settlement(attempt, "completed", costs)
        assert (await ingestion.ingest.reconcile(done))[attempt].startswith("its request has not ended")
        with_writer.request(record(name, time.time(), cost_nano=0, tags={"env": "dev"}))
        await ingestion.read()
        for settlement in (done, done, Settlement(attempt, "completed", ())):
            assert await ingestion.ingest.reconcile(settlement) == {}
            assert ingestion.posted == 25
            assert await ingestion.total() == 25
        rows = {one["model"]: one for one in await store.usage(["model"], {}, ALL)}
        assert (rows["gpt-4o"]["attempts"], rows["gpt-4o"]["failures"], rows["gpt-4o"]["tokens_out"]) == (2, 1, 20)
        assert rows[""]["held_nano"] == 0
        [tag] = await store.usage(["tag"], {}, ALL, of_requests=True)
        assert (tag["nano"], tag["tokens_out"]) == (25, 5 + 20)
        found = await store.request(name)
        assert found is not None
        assert found["nano"] == 25
        assert await store.batches() == []
        with_writer.close()
        await ingestion.ingest.finish(0.0)

    async def main() -> None:
        if kind == "sqlite":
            await check(None)
        else:
            async with database() as url:
                await check(url)

    run(main())


def test_batch_whose_answer_was_lost_can_be_found(tmp_path: Path) -> None:
    async def main() -> None:
        ingestion, writer, of = Ingestion(tmp_path), journal_writer(tmp_path), scope(model="")
        attempt = write_batch(writer, of, request_id(1, time.time()), is_answered=False)
        await ingestion.read()
        store = ingestion.ingest.store
        assert store is not None
        [row] = await store.batches()
        assert (row["state"], row["counters"]) == ("sent", None), "its attempt goes on"
        writer.close()  # as if the worker had died
        await ingestion.read()
        made = Record(id="b-9", kind="batch", provider="openai", key="only", owner="team:research", at=1.0)
        await store.find_batch(attempt, made)
        [row] = await store.batches()
        assert (row["state"], row["batch_id"], row["held_nano"]) == ("made", "b-9", MOST.nano)
        assert await store.state(["b-9"]) == [made]
        await store.note_batch(attempt, status="in_progress", checked_at=5.0, due_at=9.0)
        [row] = await store.batches()
        assert (row["status"], row["checked_at"]) == ("in_progress", 5.0)
        assert await store.due_batches(8.9) == []
        assert len(await store.due_batches(9.0)) == 1
        assert await store.due_batches(9.0, without=["openai"]) == []
        await ingestion.ingest.finish(0.0)

    run(main())


def test_attempt_that_an_operator_reconciled_stays_so(tmp_path: Path) -> None:
    async def main() -> None:
        ingestion, writer, of = Ingestion(tmp_path), journal_writer(tmp_path), scope(model="")
        name = request_id(1, time.time())
        attempt = write_batch(writer, of, name)
        writer.request(record(name, time.time(), cost_nano=0))
        await ingestion.read()
        assert await ingestion.ingest.reconcile({attempt: 99}) == {}
        assert ingestion.ingest.store is not None
        [row] = await ingestion.ingest.store.batches()
        assert row["is_reconciled"]
        costs = (ModelCost("gpt-4o", 2, 0, usage=Usage(10, 20), nano=25),)
        rejected = await ingestion.ingest.reconcile(Settlement(attempt, "completed", costs))
        assert rejected == {attempt: "it is already reconciled, at 0.000000099 dollars"}
        assert (ingestion.posted, await ingestion.total()) == (99, 99)
        writer.close()
        await ingestion.ingest.finish(0.0)

    run(main())


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_pruning_keeps_open_batches(kind: str, tmp_path: Path) -> None:
    async def check(url: str | None) -> None:
        ingestion, writer, of = Ingestion(tmp_path, url), journal_writer(tmp_path), scope(model="")
        at = time.time() - 100 * 86_400
        name = request_id(1, at)
        attempt = write_batch(writer, of, name, at=at)
        writer.request(record(name, at, cost_nano=0))
        writer.store(of, StateRecord(of.number, name, at, "only", ((MADE, "batch", f"b-{name}"), (MADE, "file", "f"))))
        never = request_id(2, at)
        writer.store(of, BatchRecord(of.number, never, 1, at, state=SENT, work=encode_work(WORK)))
        await ingestion.read()
        store = ingestion.ingest.store
        assert store is not None
        await ingestion.ingest.lapse()
        for forgotten in (1, 0, 0):
            await store.prune(time.time() - 86_400)
            assert await store.prune_state(time.time() - 86_400) == forgotten, "the file alone is forgotten"
        [row] = await store.batches()
        assert (row["attempt_id"], row["counters"] is None) == (attempt, False), "nothing was reserved for the other"
        [kept] = await store.state([f"b-{name}", "f"])
        assert (kept.id, kept.at > time.time() - 60) == (f"b-{name}", True)
        costs = (ModelCost("gpt-4o", 2, 0, usage=Usage(10, 20), nano=25),)
        assert await ingestion.ingest.reconcile(Settlement(attempt, "completed", costs)) == {}
        assert await ingestion.total() == 25
        await store.prune(time.time() - 86_400)
        assert await store.unsettled_of([attempt]) == {}
        writer.close()
        await ingestion.ingest.finish(0.0)

    async def main() -> None:
        if kind == "sqlite":
            await check(None)
        else:
            async with database() as url:
                await check(url)

    run(main())
