"""All that the admin process sends to other servers and files: the export to a collector, and sinks."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from pointsman.admin.export.exemplars import Exemplars
from pointsman.admin.export.exporter import Exporter
from pointsman.admin.metrics import merged
from pointsman.admin.sink_runner import SinkRunner
from pointsman.control.store.reports import Reports
from pointsman.link.inquirer import Inquirer
from pointsman.telemetry.metrics import MetricsPage


class Outgoing:
    """The export and the sinks. `page` returns all metrics, and `folder` keeps the positions."""

    def __init__(
        self, control: Inquirer, store: Reports, page: Callable[[], Awaitable[MetricsPage]], folder: Path
    ) -> None:
        self._exporter = Exporter(control, store, page, folder)
        self._sinks = SinkRunner(control, store, folder)

    async def run(self) -> None:
        """Send until it is cancelled."""
        await asyncio.gather(self._exporter.run(), self._sinks.run())

    @property
    def exemplars(self) -> Exemplars:
        return self._exporter.exemplars

    def problems(self) -> dict[str, str]:
        """Return the reasons why receivers take nothing, by name."""
        return self._exporter.problems() | self._sinks.problems()

    def metrics(self) -> MetricsPage:
        """Return metrics of the deliveries."""
        return merged([self._exporter.metrics(), self._sinks.metrics()])
