"""Metrics reach the collector, also while the store cannot be read."""

import asyncio
from pathlib import Path

import pytest
from msgspec.structs import replace

from fakes.clock import PATIENCE_S
from fakes.collector import collecting
from fakes.control import record, request_id
from fakes.export import SETTINGS
from fakes.origin import run
from pointsman.admin.export.exporter import status_of
from pointsman.admin.export.metrics_export import MetricsExport
from pointsman.admin.export.sender import Sender
from pointsman.control.store.database import StoreError, store_url
from pointsman.control.store.reports import Reports
from pointsman.control.store.store import Batch, Store
from pointsman.telemetry.metrics import MetricsPage, counter

AT = 1.7e9


async def page() -> MetricsPage:
    return MetricsPage([counter("pointsman_log_dropped_total", "Log records dropped.", 3)])


def test_stored_requests_are_counted_and_a_store_that_is_away_holds_nothing_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        store = await Store.open(store_url(None, tmp_path))
        with collecting() as collector:
            settings = replace(SETTINGS, port=collector.port, metrics_interval_s=0.02)
            sender, status = Sender(settings, "metrics"), status_of("metrics")
            running = asyncio.create_task(MetricsExport(settings, store, page).run(sender, status, 5))

            async def until(*names: str) -> None:
                async with asyncio.timeout(PATIENCE_S):
                    while not set(names) <= {one.name for one in collector.metrics}:
                        await asyncio.sleep(0.01)

            with monkeypatch.context() as patch:

                async def fail(*_: object) -> None:
                    raise StoreError("it is away")

                patch.setattr(Reports, "newest", fail)
                await until("pointsman.log_dropped")
            seen = len(collector.messages)
            async with asyncio.timeout(PATIENCE_S):
                while len(collector.messages) < seen + 2:
                    await asyncio.sleep(0.01)
            one = request_id(1, AT)
            await store.commit(
                Batch(
                    requests=[
                        (one, AT, "me", "chat", "openai", 200, 70, record(one, AT), "", 0, 0, "", "", "", "", 0, 7, 0)
                    ]
                )
            )
            await until("gen_ai.client.operation.duration")
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await sender.close()
            assert status.problem == ""
        await store.close()

    run(main())
