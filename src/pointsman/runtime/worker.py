"""A worker process: a data plane, its configuration and its shutdown."""

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import time

from pointsman.config.kept import read_or_compile
from pointsman.config.settings import Settings
from pointsman.config.snapshot_file import SnapshotError
from pointsman.domain.limits import Limit
from pointsman.domain.snapshots import Snapshot, counters_of
from pointsman.engine.model_list import ModelList
from pointsman.engine.status import metrics_page
from pointsman.journal.writer import JournalWriter
from pointsman.routing.router import router_of
from pointsman.runtime.control_connection import ControlConnection, OnSnapshot
from pointsman.runtime.data_plane import DataPlane, open_log
from pointsman.runtime.tasks import ChildTask, log_to_stderr, notify_ready, stop_event, tune_garbage_collector
from pointsman.telemetry.metrics import MetricsPage, encode_page
from pointsman.transport.http_client import HttpClient
from pointsman.transport.server_tls import ServerTls

RETIREMENT_CHECK_S = 5.0

_logger = logging.getLogger(__name__)


class Worker:
    """A data plane, `plane`, that can be started, reconfigured and stopped. `settings` never change. Without a
    connection to control (`connect`), the worker does not share its limits."""

    def __init__(
        self, snapshot: Snapshot, settings: Settings, log_fd: int, journal: JournalWriter | None = None
    ) -> None:
        self.plane = DataPlane(snapshot, settings, log_fd, journal)
        self._retiring: dict[asyncio.Task[None], HttpClient] = {}
        self._control: ControlConnection | None = None
        self.tls: ServerTls | None = None
        self._tls_watch: asyncio.Task[None] | None = None

    async def start(self, sockets: Sequence[socket.socket] = ()) -> None:
        """Listen on these sockets, or on the configured address if there are none. Raise `OSError` if the address
        cannot be used."""
        settings, server = self.plane.settings, self.plane.server
        listen, files = settings.listen, settings.tls
        context = None
        if files is not None:
            self.tls = ServerTls(files)
            context = self.tls.context
            self._tls_watch = asyncio.get_running_loop().create_task(self.tls.watch())
        for sock in sockets:
            await server.listen(sock=sock, ssl=context)
        if not sockets:
            await server.listen(listen.host or None, listen.port, ssl=context)
        tune_garbage_collector()

    async def connect(self, slot: int, epoch: int, path: str, on_snapshot: OnSnapshot, patience_s: float) -> None:
        """Open a connection to control, and keep it open. From then on limits are shared with other workers. Return
        when control can grant leases, or after `patience_s`."""
        self._control = ControlConnection(self.plane, lambda: encode_page(self.metrics()))
        await self._control.open(slot, epoch, path, on_snapshot, patience_s)

    def metrics(self) -> MetricsPage:
        """Return the counters and gauges of the data plane."""
        return metrics_page(self.plane.engine, self.plane.server)

    def swap(
        self, snapshot: Snapshot, models: ModelList | None = None, limits: Mapping[str, Limit] | None = None
    ) -> None:
        """Put a new configuration in force. Requests in progress keep theirs. `models` is its list of models and
        `limits` are its limits by counter, if the caller has built them already."""
        plane = self.plane
        plane.api.take_models(models or ModelList(snapshot))
        plane.server.forget_derived()
        plane.live.swap(snapshot)
        plane.amounts.forget_limits()
        returned = plane.ledger.reconfigure(counters_of(snapshot) if limits is None else limits, time())
        if self._control is not None and returned:
            self._control.link.give_back(returned)
        plane.engine.credentials.swap(snapshot)
        plane.api.callers.swap(snapshot)
        tune_garbage_collector()
        for client in plane.upstreams.swap(snapshot):
            task = asyncio.get_running_loop().create_task(_retire(client))
            self._retiring[task] = client
            task.add_done_callback(self._retired)

    async def stop(self) -> int:
        """Let requests in progress finish, for at most `drain_s`. Then close all connections, and return the number of
        requests cut off."""
        plane, control = self.plane, self._control
        plane.api.is_draining = True
        if self._tls_watch is not None:
            self._tls_watch.cancel()
        if control is not None:
            control.link.drain()
        cut = await plane.server.drain(plane.settings.drain_s)
        plane.api.close()
        plane.engine.credentials.close()
        for task, client in list(self._retiring.items()):
            task.cancel()
            await client.close()
        await plane.upstreams.close()
        if control is not None:
            control.close()
        plane.deadlines.close()
        plane.log.close()
        plane.engine.bodies.close()
        if plane.journal is not None:
            plane.journal.close()
        return cut

    def _retired(self, task: "asyncio.Task[None]") -> None:
        del self._retiring[task]


async def _retire(client: HttpClient) -> None:
    """Close a client that new requests no longer use, after its last request."""
    while any(pool.in_flight or pool.waiting for pool in client.gauges().values()):  # noqa: ASYNC110 -- may take minutes
        await asyncio.sleep(RETIREMENT_CHECK_S)
    await client.close()


async def work(task: ChildTask) -> int:
    """Run a worker until it receives a stop signal. Return the exit code."""
    loop = asyncio.get_running_loop()
    path = Path(task.snapshot)
    try:
        compiled = read_or_compile(path, os.environ)
    except (OSError, SnapshotError) as error:
        log_to_stderr(process=f"worker {task.slot}: ")
        _logger.error("cannot start: %s", error)  # noqa: TRY400 -- a traceback would not help
        return 1
    settings = compiled.settings
    log_to_stderr(settings.log_level, f"worker {task.slot}: ")
    journals = Path(task.data_dir) / "journal"
    try:
        log_fd = open_log(settings)
        journal = JournalWriter(
            journals,
            task.slot,
            task.epoch,
            max_bytes=settings.journal_bytes,
            on_problem=_report_journal,
            is_synced=settings.durability == "power",
        )
    except OSError as error:
        _logger.error(  # noqa: TRY400 -- a traceback would not help
            "cannot open the request log or the journal: %s; check logging.file and data_dir",
            error,
        )
        return 1
    worker = Worker(compiled.snapshot, settings, log_fd, journal)

    async def on_snapshot(name: str) -> str:
        snapshot, models, limits = await asyncio.to_thread(_read, Path(name))
        worker.swap(snapshot, models, limits)
        return snapshot.digest

    router_of(compiled.snapshot)  # it compiles the conditions before requests come
    worker.swap(compiled.snapshot, ModelList(compiled.snapshot).prepare())
    del compiled  # so that an old snapshot is freed when its last request ends
    stopping = stop_event(task.life_fd, worker.plane.server.shut_down_now)
    loop.add_signal_handler(signal.SIGHUP, worker.plane.log.reopen)
    connecting = loop.create_task(worker.connect(task.slot, task.epoch, task.link, on_snapshot, task.patience_s))
    stop = loop.create_task(stopping.wait())
    await asyncio.wait((connecting, stop), return_when=asyncio.FIRST_COMPLETED)
    stop.cancel()
    if stopping.is_set():  # the worker does not serve yet
        connecting.cancel()
        await asyncio.wait((connecting,))
        await worker.stop()
        return 0
    await connecting  # raises its error
    await worker.start([socket.socket(fileno=fd) for fd in task.listen_fds])
    notify_ready(task.ready_fd)
    await stopping.wait()
    cut = await worker.stop()
    if cut:
        _logger.warning("%d requests were cut off at the end of the drain", cut)
    return 0


def _read(path: Path) -> tuple[Snapshot, ModelList, Mapping[str, Limit]]:
    """Read a new configuration and build its tables. Runs in a thread, so that the loop is not blocked."""
    snapshot = read_or_compile(path, os.environ).snapshot
    router_of(snapshot)  # it compiles the conditions
    return snapshot, ModelList(snapshot).prepare(), counters_of(snapshot)


def _report_journal(problem: str | None) -> None:
    if problem is None:
        _logger.warning("the journal works again")
    else:
        _logger.error("%s", problem)
