"""Spending before this gateway counts once in a window, beside the spending of workers."""

import time
from pathlib import Path

import pytest

from fakes.control import DAY_COUNTER, record, request_id, scope, write_estimated
from fakes.ingestion import Ingestion, journal_writer
from integration.databases import database
from integration.gateway import run
from pointsman.control.store.carried import CarriedWindow


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_amount_counts_once_beside_that_of_workers(kind: str, tmp_path: Path) -> None:
    async def check(url: str | None) -> None:
        ingestion, now = Ingestion(tmp_path, url), time.time()
        writer = journal_writer(tmp_path)
        write_estimated(writer, 1, now, scope(), 1000, 1000)
        writer.request(record(request_id(2, now), now))
        await ingestion.read()
        before = ingestion.posted
        start = int(now // 86_400) * 86_400
        window = CarriedWindow(DAY_COUNTER, start, start + 86_400, 5_000)
        later = CarriedWindow(DAY_COUNTER, start + 86_400, start + 172_800, 7)
        assert await ingestion.ingest.reconcile([window]) == {}
        assert ingestion.posted == before + 5_000
        rejected = await ingestion.ingest.reconcile([window])
        assert "was carried into this window before" in rejected[DAY_COUNTER]
        assert ingestion.posted == before + 5_000
        assert await ingestion.ingest.reconcile([later]) == {}, "a window of its own"
        await ingestion.ingest.finish(0.0)

    async def main() -> None:
        if kind == "sqlite":
            await check(None)
        else:
            async with database() as url:
                await check(url)

    run(main())
