"""Runs the sinks of the present configuration, and begins a sink anew when it changes."""

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path

from pointsman.admin.configured import ended, follow
from pointsman.admin.delivery_status import DeliveryStatus
from pointsman.admin.following import AT_ONCE, Batching, Follower
from pointsman.admin.leaving import Gate
from pointsman.control.inquiries.sinks import SinksInquiry, SinkState
from pointsman.control.store.reports import Reports
from pointsman.link.inquirer import Inquirer
from pointsman.telemetry.metrics import CounterFamily, GaugeFamily, Labels, MetricsPage, counter_family, gauge

BATCH = 2000  # records in a message of a sink that waits for more
MOST_BODIES = 16 * 1024 * 1024  # bytes of bodies in a message

_logger = logging.getLogger("pointsman")


class SinkRunner:
    """Delivers stored requests to sinks. `folder` keeps the position of each sink by its name."""

    def __init__(self, control: Inquirer, store: Reports, folder: Path) -> None:
        self._control = control
        self._store = store
        self._folder = folder
        self._running: dict[str, tuple[SinkState, asyncio.Task[None]]] = {}
        self.statuses: dict[str, DeliveryStatus] = {}
        self.problem = ""  # the reason why the present settings cannot be used

    async def run(self) -> None:
        """Deliver until it is cancelled."""
        try:
            await follow(self._control, SinksInquiry(), SinkState, self._change)
        except Exception as error:  # nobody awaits this task before the process ends
            _logger.exception("the sinks have ended, since their settings cannot be read")
            self.problem = f"the sinks have ended, since their settings cannot be read: {error}"
        finally:
            await self._change([])

    def problems(self) -> dict[str, str]:
        """Return the reasons why sinks take no records, by name."""
        found = {f"sink_{name}": one.problem for name, one in self.statuses.items() if one.problem}
        return found | ({"sinks": self.problem} if self.problem else {})

    def metrics(self) -> MetricsPage:
        """Return metrics of the sinks."""
        return MetricsPage(list(self._counters()), [], list(self._gauges()))

    async def _change(self, found: list[SinkState]) -> None:
        """End the sinks that are gone or have changed, and begin the new ones. Counts go on if settings change."""
        wanted = {one.name: one for one in found}
        for name, (state, task) in list(self._running.items()):
            if wanted.get(name) != state:
                await ended(task)
                del self._running[name]
        self.statuses = {name: self.statuses.get(name) or _status(name) for name in wanted}
        for name, state in wanted.items():
            if name not in self._running:
                self.statuses[name].problem = ""
                self._running[name] = state, asyncio.create_task(self._run(state, self.statuses[name]))

    async def _run(self, state: SinkState, status: DeliveryStatus) -> None:
        from pointsman.admin.sinks import SINKS  # noqa: PLC0415 -- a gateway without sinks does not need them

        outlet = SINKS[state.type](state)
        at_once = BATCH if state.batch_s else AT_ONCE
        if state.body_bytes:
            at_once = max(1, min(at_once, MOST_BODIES // (2 * state.body_bytes)))
        batching = Batching(at_once, state.batch_s, bool(state.body_bytes))
        path, gate = self._folder / f"sink-{state.name}.position", Gate(state.conditions)
        try:
            await Follower(self._store, outlet, status, path, gate=gate, batching=batching).run()
        except Exception as error:  # the other sinks go on
            _logger.exception("the sink %s has ended", state.name)
            status.problem = f"the sink has ended: {error}"
        finally:
            await outlet.close()

    def _counters(self) -> Iterator[CounterFamily]:
        for field, description in (
            ("sent", "Records that the sink accepted."),
            ("rejected", "Records that the sink rejected, which are lost."),
            ("withheld", "Records that the sink did not get, for a requirement that its tags do not meet."),
            ("failures", "Deliveries to the sink that failed and are repeated."),
        ):
            values: dict[Labels, int] = {(name,): getattr(one, field) for name, one in self.statuses.items()}
            yield counter_family(f"pointsman_sink_{field}_total", description, ("sink",), values)

    def _gauges(self) -> Iterator[GaugeFamily]:
        statuses = self.statuses.items()
        up = [((name,), float(not one.problem)) for name, one in statuses]
        yield gauge("pointsman_sink_up", "1 if the sink accepts records, else 0.", up, ("sink",))
        lag = [((name,), one.lag_s) for name, one in statuses]
        about = "Seconds since the ingestion of the oldest request that the sink did not get yet."
        yield gauge("pointsman_sink_lag_seconds", about, lag, ("sink",))


def _status(name: str) -> DeliveryStatus:
    return DeliveryStatus(receiver=f"the sink {name}", items="records", rejected_total="pointsman_sink_rejected_total")
