"""A worker process: a data plane from its snapshot to its end."""

import asyncio
import logging
import os
import signal
import socket
import ssl
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
from pointsman.runtime.control_line import ControlLine, OnSnapshot
from pointsman.runtime.data_plane import DataPlane, open_log
from pointsman.runtime.tasks import ChildTask, log_to_stderr, say_ready, settle_memory, told_to_stop
from pointsman.telemetry.metrics import MetricsPage, encode_page
from pointsman.transport.http_client import HttpClient

RETIREMENT_CHECK_S = 5.0

_logger = logging.getLogger(__name__)


class Worker:
    """A data plane, `plane`, from its start to its end. `settings` take effect here only. Without a connection to
    control (`connect`), every limit is this worker's alone."""

    def __init__(
        self, snapshot: Snapshot, settings: Settings, log_fd: int, journal: JournalWriter | None = None
    ) -> None:
        self.plane = DataPlane(snapshot, settings, log_fd, journal)
        self._retiring: dict[asyncio.Task[None], HttpClient] = {}
        self._line: ControlLine | None = None

    async def start(self, sockets: Sequence[socket.socket] = ()) -> None:
        """Listen on these sockets, or on the configured address if there are none. Raise `OSError` if the address
        cannot be used."""
        settings, server = self.plane.settings, self.plane.server
        listen, files = settings.listen, settings.tls
        context = None
        if files is not None:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(files.cert_file, files.key_file)
        for sock in sockets:
            await server.listen(sock=sock, ssl=context)
        if not sockets:
            await server.listen(listen.host or None, listen.port, ssl=context)
        settle_memory()

    async def connect(self, slot: int, epoch: int, path: str, on_snapshot: OnSnapshot, patience_s: float) -> None:
        """Hold a connection to control: from now on limits are shared with other workers. Return when control can grant
        leases, at the latest after `patience_s`."""
        self._line = ControlLine(self.plane, lambda: encode_page(self.metrics()))
        await self._line.open(slot, epoch, path, on_snapshot, patience_s)

    def metrics(self) -> MetricsPage:
        """Return its counters and gauges."""
        return metrics_page(self.plane.engine, self.plane.server)

    def swap(
        self, snapshot: Snapshot, models: ModelList | None = None, limits: Mapping[str, Limit] | None = None
    ) -> None:
        """Put a new configuration in force. Requests in progress keep the one they began with. `models` is its list of
        models and `limits` are its limits by their counters, if a caller has made them already."""
        plane = self.plane
        plane.api.take_models(models or ModelList(snapshot))
        plane.server.forget_derived()
        plane.live.swap(snapshot)
        returns = plane.ledger.reconfigure(counters_of(snapshot) if limits is None else limits, time())
        if self._line is not None and returns:
            self._line.link.give_back(returns)
        settle_memory()
        for client in plane.upstreams.swap(snapshot):
            task = asyncio.get_running_loop().create_task(_retire(client))
            self._retiring[task] = client
            task.add_done_callback(self._retired)

    async def stop(self) -> int:
        """Let requests in progress finish, for at most `drain_s`. Return the number of connections cut."""
        plane, line = self.plane, self._line
        plane.api.is_draining = True
        if line is not None:
            line.link.drain()
        cut = await plane.server.drain(plane.settings.drain_s)
        plane.api.close()
        for task, client in list(self._retiring.items()):
            task.cancel()
            await client.close()
        await plane.upstreams.close()
        if line is not None:
            line.close()
        plane.deadlines.close()
        plane.log.close()
        if plane.journal is not None:
            plane.journal.close()
        return cut

    def _retired(self, task: "asyncio.Task[None]") -> None:
        del self._retiring[task]


async def _retire(client: HttpClient) -> None:
    """Close a client that no new request uses, when its last one is done."""
    while any(pool.in_flight or pool.waiting for pool in client.gauges().values()):  # noqa: ASYNC110 -- minutes matter
        await asyncio.sleep(RETIREMENT_CHECK_S)
    await client.close()


async def work(task: ChildTask) -> int:
    """Run a worker until it is notified to stop. Return the exit code."""
    loop = asyncio.get_running_loop()
    path = Path(task.snapshot)
    try:
        compiled = read_or_compile(path, os.environ)
    except (OSError, SnapshotError) as error:
        log_to_stderr(process=f"worker {task.slot}: ")
        _logger.error("cannot start: %s", error)  # noqa: TRY400 -- the trace would not help
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
            on_trouble=_journal_in_trouble,
            is_synced=settings.durability == "power",
        )
    except OSError as error:
        _logger.error("cannot write: %s", error)  # noqa: TRY400 -- the trace would not help
        return 1
    worker = Worker(compiled.snapshot, settings, log_fd, journal)

    async def on_snapshot(name: str) -> str:
        snapshot, models, limits = await asyncio.to_thread(_read, Path(name))
        worker.swap(snapshot, models, limits)
        return snapshot.digest

    worker.swap(compiled.snapshot, ModelList(compiled.snapshot).prepare())
    del compiled  # an old snapshot dies when its last request ends
    stopping = told_to_stop(task.life_fd, worker.plane.server.shut_down_now)
    loop.add_signal_handler(signal.SIGHUP, worker.plane.log.reopen)
    connecting = loop.create_task(worker.connect(task.slot, task.epoch, task.link, on_snapshot, task.patience_s))
    told = loop.create_task(stopping.wait())
    await asyncio.wait((connecting, told), return_when=asyncio.FIRST_COMPLETED)
    told.cancel()
    if stopping.is_set():  # before it served
        connecting.cancel()
        await asyncio.wait((connecting,))
        await worker.stop()
        return 0
    await connecting  # raises its error
    await worker.start([socket.socket(fileno=fd) for fd in task.listen_fds])
    say_ready(task.ready_fd)
    await stopping.wait()
    cut = await worker.stop()
    if cut:
        _logger.warning("%d requests were cut off", cut)
    return 0


def _read(path: Path) -> tuple[Snapshot, ModelList, Mapping[str, Limit]]:
    """Read a new configuration and make its tables, in a thread beside the loop."""
    snapshot = read_or_compile(path, os.environ).snapshot
    return snapshot, ModelList(snapshot).prepare(), counters_of(snapshot)


def _journal_in_trouble(problem: str | None) -> None:
    if problem is None:
        _logger.warning("the journal can be written again")
    else:
        _logger.error("%s. Requests under a limit are refused once the present segment is full", problem)
