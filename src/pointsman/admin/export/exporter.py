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

from pointsman.admin.configured import ended, follow
from pointsman.admin.delivery_status import DeliveryStatus
from pointsman.admin.export.exemplars import Exemplars
from pointsman.admin.following import Follower
from pointsman.admin.leaving import Gate
from pointsman.control.inquiries.export import ExportInquiry, ExportSettings
from pointsman.control.store.reports import Reports
from pointsman.domain.records import RequestRecord
from pointsman.link.inquirer import Inquirer
from pointsman.telemetry.metrics import CounterFamily, GaugeFamily, Labels, MetricsPage, counter_family, gauge

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
        self.statuses: dict[str, DeliveryStatus] = {}
        self.exemplars = Exemplars()
        self.problem = ""  # the reason why the present settings cannot be used

    async def run(self) -> None:
        """Export until it is cancelled."""
        running: asyncio.Task[None] | None = None

        async def begin(found: list[ExportSettings]) -> None:
            nonlocal running
            if running is not None:
                await ended(running)
            settings = found[0] if found else None
            self.problem, running = "", None
            self.statuses = self._statuses(settings)
            if settings is not None:
                running = asyncio.create_task(self._export(settings))

        try:
            await follow(self._control, ExportInquiry(), ExportSettings, begin)
        except Exception as error:  # nobody awaits this task before the process ends
            _logger.exception("the export to the OpenTelemetry collector has ended, since its settings cannot be read")
            self.problem = f"the export has ended, since its settings cannot be read: {error}"
        finally:
            if running is not None:
                await ended(running)

    def problems(self) -> dict[str, str]:
        """Return the reasons why signals are not accepted, by signal."""
        found = {f"otlp_{name}": one.problem for name, one in self.statuses.items() if one.problem}
        return found | ({"otlp": self.problem} if self.problem else {})

    def metrics(self) -> MetricsPage:
        """Return metrics of the export."""
        return MetricsPage(list(self._counters()), [], list(self._gauges()))

    def _statuses(self, settings: ExportSettings | None) -> dict[str, DeliveryStatus]:
        """Return the states of the signals. Counts go on if the settings change."""
        if settings is None:
            return {}
        known = self.statuses
        kept = {name: known.get(name) or status_of(name) for name in settings.signals}
        for one in kept.values():
            one.problem = ""
        return kept

    async def _export(self, settings: ExportSettings) -> None:
        from pointsman.admin.export.metrics_export import MetricsExport  # noqa: PLC0415 -- they import much, see above
        from pointsman.admin.export.outlet import SignalOutlet  # noqa: PLC0415
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
                        metrics = MetricsExport(settings, self._store, self._page)
                        group.create_task(metrics.run(sender, status, self._started_ns))
                    else:
                        encode = partial(encoders[name], settings=settings)
                        path = self._folder / f"otlp-{name}.position"
                        gate, outlet = Gate(settings.conditions), SignalOutlet(sender, encode)
                        group.create_task(Follower(self._store, outlet, status, path, gate=gate).run())
        except Exception as error:  # the console goes on without the export
            _logger.exception("the export to the OpenTelemetry collector has ended")
            self.problem = f"the export has ended: {error}"
        finally:
            for sender in senders:
                await sender.close()

    def _counters(self) -> Iterator[CounterFamily]:
        for name, description, field in (
            ("sent", "Spans, log records and data points that the OpenTelemetry collector accepted.", "sent"),
            ("rejected", "Spans, log records and data points that the OpenTelemetry collector rejected.", "rejected"),
            (
                "withheld",
                "Records that the collector did not get, for a requirement that its tags do not meet.",
                "withheld",
            ),
            ("failures", "Exports to the OpenTelemetry collector that failed and are repeated.", "failures"),
        ):
            values: dict[Labels, int] = {(name,): getattr(one, field) for name, one in self.statuses.items()}
            yield counter_family(f"pointsman_otlp_{name}_total", description, ("signal",), values)

    def _gauges(self) -> Iterator[GaugeFamily]:
        statuses = self.statuses.items()
        yield gauge(
            "pointsman_otlp_up",
            "1 if the OpenTelemetry collector accepts exports of the signal, else 0.",
            [((name,), int(not one.problem)) for name, one in statuses],
            ("signal",),
        )
        yield gauge(
            "pointsman_otlp_lag_seconds",
            "Seconds since the ingestion of the oldest request that was not exported yet.",
            [((name,), one.lag_s) for name, one in statuses if name != "metrics"],
            ("signal",),
        )


def status_of(signal: str) -> DeliveryStatus:
    """Return the state of a signal of which nothing was sent yet."""
    return DeliveryStatus(
        receiver="the OpenTelemetry collector", items=signal, rejected_total="pointsman_otlp_rejected_total"
    )
