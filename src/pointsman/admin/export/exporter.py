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

from pointsman.admin.configured import ended, follow
from pointsman.admin.delivery import DeliveryError
from pointsman.admin.delivery_status import DeliveryStatus
from pointsman.admin.export.exemplars import Exemplars
from pointsman.admin.following import AT_ONCE, STORE_WAIT_S, Follower
from pointsman.admin.leaving import Gate
from pointsman.control.inquiries.export import ExportInquiry, ExportSettings
from pointsman.control.store.database import StoreError
from pointsman.control.store.reports import Reports
from pointsman.domain.records import RequestRecord
from pointsman.link.inquirer import AwayError, Inquirer
from pointsman.telemetry.metrics import CounterFamily, GaugeFamily, Labels, MetricsPage, counter_family, gauge

if TYPE_CHECKING:
    from pointsman.admin.export.gen_ai import GenAiMetrics
    from pointsman.admin.export.sender import Sender

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
        from pointsman.admin.export.outlet import SignalOutlet  # noqa: PLC0415 -- they import much, see above
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
                        gate, outlet = Gate(settings.conditions), SignalOutlet(sender, encode)
                        group.create_task(Follower(self._store, outlet, status, path, gate=gate).run())
        except Exception as error:  # the console goes on without the export
            _logger.exception("the export to the OpenTelemetry collector has ended")
            self.problem = f"the export has ended: {error}"
        finally:
            for sender in senders:
                await sender.close()

    async def _export_metrics(self, settings: ExportSettings, sender: "Sender", status: DeliveryStatus) -> None:
        from pointsman.admin.export.gen_ai import GenAiMetrics  # noqa: PLC0415 -- as above
        from pointsman.admin.export.points import metrics_request  # noqa: PLC0415

        gen_ai, position = GenAiMetrics(settings.types), await self._present()
        while True:
            try:
                position = await self._note(gen_ai, position)
                page = await self._page()
                counted = [one for one in gen_ai.families if one.by_labels]
                page = MetricsPage(page.counters, [*page.histograms, *counted], page.gauges)
                message, count = await asyncio.to_thread(metrics_request, page, settings, self._started_ns, time_ns())
                sent = await sender.send(message, count)
            except (AwayError, DeliveryError, StoreError) as error:
                status.fail(str(error))
            else:
                status.succeed(count, sent.rejected, sent.reason)
            interval_s = settings.metrics_interval_s
            await asyncio.sleep(min(interval_s, RETRY_S) if status.problem else interval_s)

    async def _present(self) -> int:
        """Return the number of the request that was stored last, once the store can be read."""
        while True:
            try:
                return await self._store.newest()
            except StoreError as error:
                self.statuses["metrics"].fail(f"the stored requests cannot be read: {error}")
                await asyncio.sleep(STORE_WAIT_S)

    async def _note(self, gen_ai: "GenAiMetrics", position: int) -> int:
        """Count the requests that were stored after a position. Return the new one. Raises `StoreError`."""
        while rows := await self._store.stored_after(position, AT_ONCE):
            await asyncio.to_thread(gen_ai.note, [line for _, line in rows])
            position = rows[-1][0]
        return position

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
