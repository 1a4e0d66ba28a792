"""The composition root of the data plane: it creates and connects the parts of a worker."""

import asyncio
import logging
import os
from random import Random, SystemRandom

from msgspec.structs import replace

from pointsman.config.settings import Settings
from pointsman.domain.snapshots import Snapshot, is_listed
from pointsman.engine.billing import Billing
from pointsman.engine.engine import Engine
from pointsman.engine.handle import PublicApi
from pointsman.engine.live import Live
from pointsman.engine.ownership import Ownership
from pointsman.engine.request_metrics import RequestMetrics
from pointsman.engine.upstreams import Upstreams
from pointsman.journal.writer import JournalWriter
from pointsman.money.usage import UsedAmounts
from pointsman.telemetry.log import LogWriter
from pointsman.transport.deadlines import Deadlines
from pointsman.transport.http_server import HttpServer
from pointsman.transport.room import Room, raise_limit, share

_logger = logging.getLogger(__name__)


class DataPlane:
    """One data plane in one event loop. `log_fd` is the descriptor of the request log. Without a journal,
    spending is not recorded."""

    def __init__(
        self, snapshot: Snapshot, settings: Settings, log_fd: int, journal: JournalWriter | None = None
    ) -> None:
        loop = asyncio.get_running_loop()
        self.settings = settings
        self.journal = journal
        reopen = (lambda: open_log(settings)) if settings.log_file is not None else None
        self.log = LogWriter(log_fd, on_error=_log_failed, open_file=reopen)
        self.deadlines = Deadlines(loop)
        connections = share(raise_limit())
        self.upstreams = Upstreams(loop, self.deadlines, Room(connections))
        self.live = live = Live(snapshot)
        live.saturated, self.upstreams.room.on_saturation = self.upstreams.room.saturated, live.change
        live.amounts = self.amounts = UsedAmounts()
        self.ledger = self.amounts.ledger
        live.workers = settings.workers
        request_metrics = RequestMetrics(
            self.log, journal, lambda provider, model: is_listed(live.snapshot, provider, model)
        )
        self.billing = Billing(live, self.ledger, journal, None, mask=request_metrics.masks.text)
        self.ownership = Ownership(journal)
        rng = Random(SystemRandom().getrandbits(128))
        self.engine = Engine(
            live=live,
            upstreams=self.upstreams,
            request_metrics=request_metrics,
            billing=self.billing,
            rng=rng,
            ownership=self.ownership,
            amounts=self.amounts,
        )
        self.engine.bodies.data_dir = settings.data_dir
        self.engine.credentials.upstreams = self.upstreams
        self.engine.credentials.swap(snapshot)
        self.api = PublicApi(self.engine)
        self.api.callers.key_sets.upstreams = self.upstreams
        self.api.callers.key_sets.on_changed = self._readmit
        self.api.callers.swap(snapshot)
        limits = replace(settings.limits, max_connections=min(settings.limits.max_connections, connections))
        self.server = HttpServer(loop, self.api, limits, self.deadlines)

    def _readmit(self) -> None:
        """Admit every caller anew, since the keys of an issuer have changed."""
        self.api.callers.forget()
        self.api.forget_heads()
        self.server.forget_derived()


def open_log(settings: Settings) -> int:
    """Open the request log: the configured file, or standard output. Raise `OSError`."""
    if settings.log_file is None:
        return 1
    return os.open(settings.log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


def _log_failed(error: OSError) -> None:
    _logger.error("the request log cannot be written, and its lines are dropped until it can be: %s", error)
