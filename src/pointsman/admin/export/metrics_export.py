"""Sends the gateway's metrics to a collector, at intervals."""

import asyncio
from collections.abc import Awaitable, Callable
from time import time_ns

from pointsman.admin.delivery import DeliveryError
from pointsman.admin.delivery_status import DeliveryStatus
from pointsman.admin.export.gen_ai import GenAiMetrics
from pointsman.admin.export.points import metrics_request
from pointsman.admin.export.sender import Sender
from pointsman.admin.following import AT_ONCE
from pointsman.control.inquiries.export import ExportSettings
from pointsman.control.store.database import StoreError
from pointsman.control.store.reports import Reports
from pointsman.link.inquirer import AwayError
from pointsman.telemetry.metrics import MetricsPage

RETRY_S = 10.0  # the longest pause after an export that failed


class MetricsExport:
    """Sends the metrics of `page`, and those that it counts from the stored requests from now on."""

    def __init__(self, settings: ExportSettings, store: Reports, page: Callable[[], Awaitable[MetricsPage]]) -> None:
        self._settings = settings
        self._store = store
        self._page = page
        self._gen_ai = GenAiMetrics(settings.types)
        self._position: int | None = None

    async def run(self, sender: Sender, status: DeliveryStatus, started_ns: int) -> None:
        """Send until it is cancelled. Sums began at `started_ns`, in nanoseconds of Unix time."""
        while True:
            try:
                await self._note()
                page = await self._page()
                counted = [one for one in self._gen_ai.families if one.by_labels]
                page = MetricsPage(page.counters, [*page.histograms, *counted], page.gauges)
                message, count = await asyncio.to_thread(metrics_request, page, self._settings, started_ns, time_ns())
                sent = await sender.send(message, count)
            except (AwayError, DeliveryError) as error:
                status.fail(str(error))
            else:
                status.succeed(count, sent.rejected, sent.reason)
            interval_s = self._settings.metrics_interval_s
            await asyncio.sleep(min(interval_s, RETRY_S) if status.problem else interval_s)

    async def _note(self) -> None:
        """Count the requests that were stored since the last time. If the store cannot be read, the next call counts
        them; all other metrics do not wait for it."""
        try:
            if self._position is None:
                self._position = await self._store.newest()
            while rows := await self._store.stored_after(self._position, AT_ONCE):
                await asyncio.to_thread(self._gen_ai.note, [line for _, line in rows])
                self._position = rows[-1][0]
        except StoreError:
            return
