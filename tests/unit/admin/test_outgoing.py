"""The export and the sinks run and report together."""

import asyncio
from pathlib import Path

import pytest
from msgspec import Struct
from msgspec.structs import replace

from fakes.clock import PATIENCE_S
from fakes.collector import collecting
from fakes.export import SETTINGS
from fakes.metrics import samples
from fakes.origin import run
from fakes.sinks import sink
from pointsman.admin import configured
from pointsman.admin.outgoing import Outgoing
from pointsman.control.inquiries.export import ExportInquiry, ExportSettings
from pointsman.control.inquiries.sinks import SinkState
from pointsman.control.store.database import store_url
from pointsman.control.store.store import Store
from pointsman.link.inquirer import Inquirer
from pointsman.telemetry.metrics import MetricsPage


class BothKinds(Inquirer):
    def __init__(self, settings: ExportSettings, state: SinkState) -> None:
        super().__init__("")
        self._settings, self._state = settings, state

    async def ask(self, inquiry: Struct, item: type, within_s: float = 0.0) -> list:  # type: ignore[type-arg]
        return [self._settings if isinstance(inquiry, ExportInquiry) else self._state]


async def page() -> MetricsPage:
    return MetricsPage()


def test_problems_and_metrics_are_those_of_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(configured, "SETTINGS_S", 0.02)

    async def main() -> None:
        store = await Store.open(store_url(None, tmp_path))
        with collecting() as collector:
            collector.mode = 503
            state = sink("file", path=str(tmp_path / "none" / "r"), max_bytes=1, keep=1)
            control = BothKinds(replace(SETTINGS, port=collector.port), state)
            outgoing = Outgoing(control, store, page, tmp_path)
            running = asyncio.create_task(outgoing.run())
            async with asyncio.timeout(PATIENCE_S):
                while set(outgoing.problems()) != {"otlp_traces", "sink_one"}:
                    await asyncio.sleep(0.01)
            found = samples(outgoing.metrics())
            assert found['pointsman_otlp_up{signal="traces"}'] == found['pointsman_sink_up{sink="one"}'] == 0
            assert outgoing.exemplars.by_bucket("pointsman_gateway_seconds", (), ()) == {}
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        await store.close()

    run(main())
