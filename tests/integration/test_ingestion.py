"""Records that control ingests count exactly once, even if control ends during a commit."""

import asyncio
from pathlib import Path
from time import time
from typing import Any

import msgspec
import pytest

from fakes.clock import PATIENCE_S
from integration.gateway import run, until
from pointsman.control.ingest import Ingest
from pointsman.control.store.database import store_url
from pointsman.control.store.reports import Rows
from pointsman.control.store.store import Batch, Store
from pointsman.journal.reader import JournalReader
from pointsman.journal.records import ChargeScope, Outcome
from pointsman.journal.writer import JournalWriter
from pointsman.money.leases import LeaseTable

SCOPE = ChargeScope(
    number=1,
    virtual_key="me",
    team=None,
    customer=None,
    provider="alpha",
    model="gpt-4o-mini",
    variant=None,
    counters=(),
)
NANO = 1000


def outcome(request_id: str) -> Outcome:
    return Outcome(1, request_id, 1, time(), NANO, 10, 20, 0, 0, "ok", "provider")


def done(request_id: str) -> bytes:
    return msgspec.json.encode({"time": time(), "request_id": request_id, "status": 200, "cost_nano": NANO})


@pytest.mark.parametrize("is_cancelled", [False, True])
def test_records_count_once_after_a_death_during_a_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_cancelled: bool
) -> None:
    """When a commit begins, it holds the outcome of an open attempt and a new attempt. Control ends at that moment."""
    begun, may_go_on = asyncio.Event(), asyncio.Event()
    commit = Store.commit

    async def slow(store: Store, batch: Batch) -> None:
        if any(row for row in batch.usage):
            begun.set()
            await may_go_on.wait()
        await commit(store, batch)

    async def main() -> None:
        writer = JournalWriter(tmp_path / "journal", 0, 1, segment_bytes=1 << 16)
        url = store_url(None, tmp_path)
        ingest = Ingest(tmp_path / "journal", LeaseTable(1), lambda: Store.open(url), lambda _: None)
        writer.intent(SCOPE, "first", 1, time(), NANO, 100)
        await ingest.step()
        monkeypatch.setattr(Store, "commit", slow)
        writer.store(SCOPE, outcome("first"))
        writer.request(done("first"))
        writer.intent(SCOPE, "second", 1, time(), NANO, 100)
        writer.store(SCOPE, outcome("second"))
        writer.request(done("second"))
        running = asyncio.create_task(ingest.run())
        await begun.wait()
        if is_cancelled:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            may_go_on.set()
            await ingest.finish(PATIENCE_S)
        else:
            ending = asyncio.create_task(ingest.finish(PATIENCE_S))
            await asyncio.sleep(0.05)
            may_go_on.set()
            await ending
            await running
        writer.close()
        store = await Store.open(url)
        rows: list[dict[str, Any]] = await store.usage([], {}, Rows(0, time() + 1))
        await store.close()
        assert (rows[0]["attempts"], rows[0]["nano"]) == (2, 2 * NANO)

    run(main())


def test_ingestion_continues_after_an_unexpected_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The error is logged and ingestion is retried: otherwise the journal would grow until requests
    are rejected."""
    read = JournalReader.read
    errors = [OSError("this disk is bad"), RuntimeError("this program is bad")]

    def failing(reader: JournalReader, *arguments: Any, **named: Any) -> Any:
        if errors:
            raise errors.pop(0)
        return read(reader, *arguments, **named)

    async def main() -> None:
        writer = JournalWriter(tmp_path / "journal", 0, 1, segment_bytes=1 << 16)
        url = store_url(None, tmp_path)
        ingest = Ingest(tmp_path / "journal", LeaseTable(1), lambda: Store.open(url), lambda _: None)
        writer.intent(SCOPE, "first", 1, time(), NANO, 100)
        writer.store(SCOPE, outcome("first"))
        monkeypatch.setattr(JournalReader, "read", failing)
        running = asyncio.create_task(ingest.run())
        await until(lambda: "bad" in str(ingest.state.problem), "the problem is reported")
        await until(lambda: ingest.state.records and ingest.state.problem is None, "the journal is read")
        await ingest.finish(PATIENCE_S)
        await running
        writer.close()

    run(main())
    assert caplog.text.count("Traceback") == 2
