"""Every family of metrics that a gateway can have."""

import asyncio
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from fakes.engine import FakeLog
from fakes.export import SETTINGS
from fakes.origin import run
from fakes.routing import endpoint, snapshot
from pointsman.admin.alerts.deliveries import ChannelStatus
from pointsman.admin.alerts.runner import AlertRunner
from pointsman.admin.export.exporter import Exporter, status_of
from pointsman.admin.metrics import merged
from pointsman.admin.own_metrics import own_page
from pointsman.admin.sink_runner import SinkRunner
from pointsman.alerting.api import AlertRule
from pointsman.control.inquiries.state import ControlState
from pointsman.control.store.alerts import AlertQueries
from pointsman.control.store.database import store_url
from pointsman.control.store.reports import Reports
from pointsman.engine.billing import Billing
from pointsman.engine.engine import Engine
from pointsman.engine.handle import PublicApi
from pointsman.engine.live import Live
from pointsman.engine.request_metrics import RequestMetrics
from pointsman.engine.status import metrics_page
from pointsman.engine.upstreams import Upstreams
from pointsman.journal.writer import JournalWriter
from pointsman.link.inquirer import Inquirer
from pointsman.money.ledger import Ledger
from pointsman.telemetry.metrics import MetricsPage
from pointsman.transport.deadlines import Deadlines
from pointsman.transport.http_server import HttpServer, Limits

STATE = ControlState(
    digest="",
    config_refused=[],
    workers=[],
    store="ok",
    commits=0,
    records=0,
    journal_damage=0,
    refused_records=0,
    backlog_bytes=0,
    caught_up_s=None,
    taken_at=0.0,
    reloads=0,
    refusals=0,
)


def all_metrics() -> MetricsPage:
    """Return the pages of a worker with a journal, of control and of admin, merged."""
    with TemporaryDirectory() as folder:
        return run(_all_metrics(Path(folder)))


async def _all_metrics(folder: Path) -> MetricsPage:
    loop = asyncio.get_running_loop()
    deadlines, live = Deadlines(loop), Live(snapshot([endpoint("alpha")]))
    journal = JournalWriter(folder, 0, 1)
    metrics, upstreams = RequestMetrics(FakeLog(), journal), Upstreams(loop, deadlines)
    billing = Billing(live, Ledger(), journal, None)
    engine = Engine(live=live, upstreams=upstreams, request_metrics=metrics, billing=billing, rng=Random(1))
    of_worker = metrics_page(engine, HttpServer(loop, PublicApi(engine), Limits(), deadlines))
    store = Reports.of(store_url(None, folder))
    exporter = Exporter(Inquirer(""), store, _no_page, folder)
    exporter.statuses = {name: status_of(name) for name in SETTINGS.signals}
    sinks = SinkRunner(Inquirer(""), store, folder)
    alerts = AlertRunner(Inquirer(""), AlertQueries(store.rows))
    alerts.deliveries.statuses["ops"] = ChannelStatus(channel="ops")
    alerts.rules["slow"] = AlertRule(name="slow", severity="warning", checks=(), channels=())
    of_admin = [exporter.metrics(), sinks.metrics(), alerts.metrics()]
    found = merged([of_worker, own_page(STATE, [], 0), *of_admin])
    journal.close()
    await store.close()
    await upstreams.close()
    deadlines.close()
    return found


async def _no_page() -> MetricsPage:
    return MetricsPage()
