"""Exports to the collector of the present configuration, and begins anew when that changes.

The packages of OpenTelemetry are imported with the first collector, so a gateway without one does not hold them in
memory.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from time import time_ns
from typing import TYPE_CHECKING

from pointsman.admin.delivery import DeliveryError
from pointsman.admin.export.exemplars import Exemplars
from pointsman.admin.export.status import SignalStatus
from pointsman.control.inquiries.export import ExportInquiry, ExportSettings
from pointsman.control.store.reports import Reports
from pointsman.domain.records import RequestRecord
from pointsman.link.inquirer import AwayError, Inquirer
from pointsman.telemetry.metrics import CounterFamily, GaugeFamily, Labels, MetricsPage, counter_family, gauge

if TYPE_CHECKING:
    from pointsman.admin.export.sender import Sender

SETTINGS_S = 2.0  # between two inquiries for the settings
RETRY_S = 10.0  # the longest pause after an export of metrics that failed

_logger = logging.getLogger("pointsman")


class Exporter:
    """Exports traces and logs of stored requests, and the metrics of `page`. `folder` keeps the positions."""

    def __init__(
        self, control: Inquirer, store: Reports, page: Callable[[], Awaitable[MetricsPage]], folder: Path
    ) -> None:
        self._control = control
        self._store = store
        self._page = page
        self._folder = folder
        self._started_ns = time_ns()
        self._settings: ExportSettings | None = None
        self.statuses: dict[str, SignalStatus] = {}
        self.exemplars = Exemplars()
        self.problem = ""  # the reason why the present settings cannot be used

    async def run(self) -> None:
        """Export until it is cancelled."""
        running: asyncio.Task[None] | None = None
        try:
            while True:
                try:
                    found = await self._control.ask(ExportInquiry(), ExportSettings)
                except AwayError:
                    found = [self._settings] if self._settings is not None else []
                settings = found[0] if found else None
                if settings != self._settings:
                    if running is not None:
                        await _ended(running)
                    self._settings, self.problem, running = settings, "", None
                    self.statuses = self._statuses(settings)
                    if settings is not None:
                        running = asyncio.create_task(self._export(settings))
                await asyncio.sleep(SETTINGS_S)
        except Exception as error:  # nobody awaits this task before the process ends
            _logger.exception("the export to the OpenTelemetry collector has ended, since its settings cannot be read")
            self.problem = f"the export has ended, since its settings cannot be read: {error}"
        finally:
            if running is not None:
                await _ended(running)

    def problems(self) -> dict[str, str]:
        """Return the reasons why signals are not accepted, by signal."""
        found = {f"otlp_{one.signal}": one.problem for one in self.statuses.values() if one.problem}
        return found | ({"otlp": self.problem} if self.problem else {})

    def metrics(self) -> MetricsPage:
        """Return metrics of the export."""
        return MetricsPage(list(self._counters()), [], list(self._gauges()))

    def _statuses(self, settings: ExportSettings | None) -> dict[str, SignalStatus]:
        """Return the states of the signals. Counts go on if the settings change."""
        if settings is None:
            return {}
        known = self.statuses
        kept = {name: known.get(name) or SignalStatus(signal=name) for name in settings.signals}
        for one in kept.values():
            one.problem = ""
        return kept

    async def _export(self, settings: ExportSettings) -> None:
        from pointsman.admin.export.follower import Follower  # noqa: PLC0415 -- they import much, see above
        from pointsman.admin.export.sender import Sender  # noqa: PLC0415
        from pointsman.admin.export.spans import log_request, trace_request  # noqa: PLC0415

        def trace(records: Iterable[RequestRecord], settings: ExportSettings) -> tuple[bytes, int]:
            return trace_request(records, settings, self.exemplars.note)

        encoders = {"traces": trace, "logs": log_request}
        senders: list[Sender] = []
        try:
            async with asyncio.TaskGroup() as group:
                for name, status in self.statuses.items():
                    sender = Sender(settings, name)
                    senders.append(sender)
                    if name == "metrics":
                        group.create_task(self._export_metrics(settings, sender, status))
                    else:
                        encode = partial(encoders[name], settings=settings)
                        path = self._folder / f"otlp-{name}.position"
                        group.create_task(Follower(self._store, sender, status, encode, path).run())
        except Exception as error:  # the console goes on without the export
            _logger.exception("the export to the OpenTelemetry collector has ended")
            self.problem = f"the export has ended: {error}"
        finally:
            for sender in senders:
                await sender.close()

    async def _export_metrics(self, settings: ExportSettings, sender: "Sender", status: SignalStatus) -> None:
        from pointsman.admin.export.points import metrics_request  # noqa: PLC0415 -- as above

        while True:
            try:
                page = await self._page()
                message, count = await asyncio.to_thread(metrics_request, page, settings, self._started_ns, time_ns())
                sent = await sender.send(message, count)
            except (AwayError, DeliveryError) as error:
                status.fail(str(error))
            else:
                status.succeed(count, sent.rejected, sent.reason)
            interval_s = settings.metrics_interval_s
            await asyncio.sleep(min(interval_s, RETRY_S) if status.problem else interval_s)

    def _counters(self) -> Iterator[CounterFamily]:
        for name, description, field in (
            ("sent", "Spans, log records and data points that the OpenTelemetry collector accepted.", "sent"),
            ("rejected", "Spans, log records and data points that the OpenTelemetry collector rejected.", "rejected"),
            ("failures", "Exports to the OpenTelemetry collector that failed and are repeated.", "failures"),
        ):
            values: dict[Labels, int] = {(one.signal,): getattr(one, field) for one in self.statuses.values()}
            yield counter_family(f"pointsman_otlp_{name}_total", description, ("signal",), values)

    def _gauges(self) -> Iterator[GaugeFamily]:
        statuses = self.statuses.values()
        yield gauge(
            "pointsman_otlp_up",
            "1 if the OpenTelemetry collector accepts exports of the signal, else 0.",
            [((one.signal,), int(not one.problem)) for one in statuses],
            ("signal",),
        )
        yield gauge(
            "pointsman_otlp_lag_seconds",
            "Seconds since the ingestion of the oldest request that was not exported yet.",
            [((one.signal,), one.lag_s) for one in statuses if one.signal != "metrics"],
            ("signal",),
        )


async def _ended(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
