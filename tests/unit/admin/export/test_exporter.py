"""The export follows the configuration, and reports its state."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme
from msgspec import Struct, ValidationError
from msgspec.structs import replace

from fakes.clock import PATIENCE_S
from fakes.collector import collecting
from fakes.export import SETTINGS
from fakes.metrics import samples
from fakes.origin import run
from pointsman.admin import configured as module
from pointsman.admin import delivery
from pointsman.admin.export.exporter import Exporter
from pointsman.control.inquiries.export import ExportSettings
from pointsman.control.store.database import store_url
from pointsman.control.store.store import Store
from pointsman.link.inquirer import AwayError, Inquirer
from pointsman.telemetry.metrics import MetricsPage, counter


class FakeControl(Inquirer):
    """Answers with `settings`, or not at all."""

    def __init__(self, *settings: ExportSettings) -> None:
        super().__init__("")
        self.settings = list(settings)
        self.is_away = False

    async def ask(self, inquiry: Struct, item: type, within_s: float = 0.0) -> list:  # type: ignore[type-arg]
        if self.is_away:
            raise AwayError("the control process is away")
        return self.settings


async def page() -> MetricsPage:
    return MetricsPage([counter("pointsman_log_dropped_total", "Log records dropped.", 3)])


async def wait(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.01)


def test_export_follows_the_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SETTINGS_S", 0.02)

    async def main() -> None:
        store, control = await Store.open(store_url(None, tmp_path)), FakeControl()
        exporter = Exporter(control, store, page, tmp_path)
        running = asyncio.create_task(exporter.run())
        with collecting() as first, collecting() as second:
            await asyncio.sleep(0.1)
            assert samples(exporter.metrics()) == {}
            settings = replace(SETTINGS, port=first.port, signals=("traces", "logs", "metrics"))
            control.settings = [settings]
            await wait(lambda: len(first.messages) == 3)
            assert [one.name for one in first.metrics] == ["pointsman.log_dropped"]
            control.is_away = True
            await asyncio.sleep(0.1)
            assert first.tries == 3, "the export goes on while control is away, and does not begin anew"
            control.is_away, control.settings = False, [replace(settings, port=second.port)]
            await wait(lambda: len(second.messages) == 3)
            assert exporter.problems() == {}
            assert samples(exporter.metrics())['pointsman_otlp_up{signal="logs"}'] == 1
            second.mode, control.settings = 503, [replace(settings, port=second.port, service_name="other")]
            await wait(lambda: len(exporter.problems()) == 3)
            assert exporter.problems()["otlp_traces"] == "status 503"
            assert samples(exporter.metrics())['pointsman_otlp_up{signal="traces"}'] == 0
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await store.close()

    run(main())


def test_export_begins_once_an_unusable_certificate_is_mended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SETTINGS_S", 0.02)
    monkeypatch.setattr(delivery, "FIRST_WAIT_S", 0.02)
    file = tmp_path / "missing.pem"

    async def main() -> None:
        store = await Store.open(store_url(None, tmp_path))
        with collecting() as collector:
            control = FakeControl(replace(SETTINGS, port=collector.port, ca_file=str(file)))
            exporter = Exporter(control, store, page, tmp_path)
            running = asyncio.create_task(exporter.run())
            await wait(exporter.problems)
            assert "cannot be read: No such file" in exporter.problems()["otlp_traces"]
            file.write_text("no certificate")
            await wait(lambda: "cannot be used" in exporter.problems()["otlp_traces"])
            trustme.CA().cert_pem.write_to_path(str(file))
            await wait(lambda: collector.messages)
            await wait(lambda: not exporter.problems())
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await store.close()

    run(main())


def test_unreadable_settings_end_the_export_with_a_problem(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    class OtherVersion(FakeControl):
        async def ask(self, inquiry: Struct, item: type, within_s: float = 0.0) -> list:  # type: ignore[type-arg]
            raise ValidationError("Object missing required field `ratio`")

    async def main() -> None:
        store = await Store.open(store_url(None, tmp_path))
        exporter = Exporter(OtherVersion(), store, page, tmp_path)
        await exporter.run()
        assert exporter.problems()["otlp"].endswith("cannot be read: Object missing required field `ratio`")
        assert "the export to the OpenTelemetry collector has ended" in caplog.text
        await store.close()

    run(main())
