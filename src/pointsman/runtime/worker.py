"""The composition root of the data plane: builds one worker from a snapshot and runs it until it is told to stop."""

import asyncio
import logging
import os
import signal
import socket
import ssl
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from random import Random, SystemRandom
from time import monotonic, time

import msgspec
import uvloop
from msgspec.structs import replace

from pointsman.config.kept import read_or_compile
from pointsman.config.settings import Settings
from pointsman.config.snapshot_file import SnapshotError
from pointsman.domain.leases import NO_SHARE, Grant, Unable, Want
from pointsman.domain.limits import Limit
from pointsman.domain.snapshots import Snapshot, counters_of, is_listed
from pointsman.domain.state import Change, Record
from pointsman.engine.accounts import Accounts
from pointsman.engine.billing import Billing
from pointsman.engine.handle import PublicApi
from pointsman.engine.live import Live
from pointsman.engine.model_list import ModelList
from pointsman.engine.ownership import Ownership
from pointsman.engine.serving import Engine
from pointsman.engine.status import metrics_page
from pointsman.engine.tasks import Waiter
from pointsman.engine.upstreams import Upstreams
from pointsman.journal.writer import JournalWriter
from pointsman.link.client import LinkClient
from pointsman.link.frames import PROTOCOL, Hello
from pointsman.money.ledger import Ledger
from pointsman.runtime.tasks import WorkerTask, say_ready, settle_memory
from pointsman.telemetry.log import LogWriter
from pointsman.telemetry.metrics import Page, encode_page
from pointsman.transport.deadlines import Deadlines
from pointsman.transport.http_client import HttpClient
from pointsman.transport.http_server import HttpServer
from pointsman.transport.room import Room, raise_limit, share

RETIREMENT_CHECK_S = 5.0
OnSnapshot = Callable[[str], Awaitable[str]]

_logger = logging.getLogger(__name__)


class Worker:
    """One data plane in one event loop. `settings` take effect here only; `log_fd` is where request lines go. Without a
    journal nothing is kept of what was spent, and without a line to control (`connect`) every limit is this worker's
    alone."""

    def __init__(
        self, snapshot: Snapshot, settings: Settings, log_fd: int, journal: JournalWriter | None = None
    ) -> None:
        loop = asyncio.get_running_loop()
        self._settings = settings
        reopened = (lambda: _open_log(settings)) if settings.log_file is not None else None
        self._log = LogWriter(log_fd, on_error=_log_failed, reopened=reopened)
        self._deadlines = Deadlines(loop)
        connections = share(raise_limit())
        self._upstreams = Upstreams(loop, self._deadlines, Room(connections))
        self._journal = journal
        live, rng = Live(snapshot), Random(SystemRandom().getrandbits(128))
        live.crowded, self._upstreams.room.on_crowd = self._upstreams.room.crowded, live.change
        self._ledger = Ledger()
        accounts = Accounts(self._log, journal, lambda provider, model: is_listed(live.snapshot, provider, model))
        self._billing = Billing(live, self._ledger, journal, None)
        self._ownership = Ownership(journal)
        self._engine = Engine(live, self._upstreams, accounts, self._billing, rng, self._ownership)
        self._gateway = PublicApi(self._engine)
        limits = replace(settings.limits, max_connections=min(settings.limits.max_connections, connections))
        self._public = HttpServer(loop, self._gateway, limits, self._deadlines)
        self._retiring: dict[asyncio.Task[None], HttpClient] = {}
        self._link: LinkClient | None = None
        self._linking: asyncio.Task[None] | None = None

    async def start(self, sockets: Sequence[socket.socket] = ()) -> None:
        """Listen, on these sockets where there are any. Raises `OSError` when an address cannot be had."""
        listen, files = self._settings.listen, self._settings.tls
        context = None
        if files is not None:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(files.cert_file, files.key_file)
        for sock in sockets:
            await self._public.listen(sock=sock, ssl=context)
        if not sockets:
            await self._public.listen(listen.host or None, listen.port, ssl=context)
        settle_memory()

    async def connect(self, slot: int, epoch: int, path: str, on_snapshot: "OnSnapshot", patience_s: float) -> None:
        """Hold a line to control: from now on limits are shared with other workers. Returns when control can lend, at
        the latest after `patience_s`: from then on the worker serves what it can all the same."""
        live, ledger, journal = self._engine.live, self._ledger, self._journal
        ledger.reshare(NO_SHARE)
        live.is_cut_off = True

        def hello() -> Hello:
            share = ledger.share if self._link is not None and self._link.share is not None else None
            name = journal.name if journal is not None else ""
            digest = live.snapshot.digest
            return Hello(PROTOCOL, slot, epoch, os.getpid(), name, digest, share, ledger.holdings())

        connected = asyncio.Event()

        def on_line(is_up: bool) -> None:
            (connected.set if is_up else connected.clear)()
            live.is_cut_off = not is_up
            if is_up:
                live.is_stale = False

        self._link = link = LinkClient(path, ledger, hello, on_snapshot, self._encoded_metrics, on_line)
        self._billing.lessor = LinkLessor(link)
        self._ownership.custodian = LinkCustodian(link)
        loop = asyncio.get_running_loop()
        self._linking = loop.create_task(link.run())
        self._watch_age(loop)
        answers: asyncio.Queue[Sequence[Grant] | Unable] = asyncio.Queue()
        with suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                can_lend = False
                while not can_lend:  # a control that dies before it can is followed by another
                    await connected.wait()
                    link.ask((), answers.put_nowait, patience_s)
                    can_lend = not isinstance(await answers.get(), Unable)

    @property
    def public_port(self) -> int:
        return self._public.port

    def metrics(self) -> Page:
        """What it has counted, and how it is."""
        return metrics_page(self._engine, self._public)

    def _encoded_metrics(self) -> bytes:
        return encode_page(self.metrics())

    def _watch_age(self, loop: asyncio.AbstractEventLoop) -> None:
        """Notice when control is silent, or has been away for too long."""
        if self._link is not None:
            live, now = self._engine.live, monotonic()
            away_since = self._link.away_since(now)
            live.is_cut_off = away_since is not None
            live.is_stale = away_since is not None and now - away_since > self._settings.max_stale_s
        self._aging = loop.call_later(1.0, self._watch_age, loop)

    def swap(
        self, snapshot: Snapshot, models: ModelList | None = None, limits: Mapping[str, Limit] | None = None
    ) -> None:
        """Put a new configuration in force. Requests in progress keep the one they began with. `models` is its list of
        models and `limits` are its limits by their counters, where somebody has them already."""
        if models is not None:
            self._gateway.take_models(models)
        self._engine.live.swap(snapshot)
        returns = self._ledger.reconfigure(counters_of(snapshot) if limits is None else limits, time())
        if self._link is not None and returns:
            self._link.give_back(returns)
        settle_memory()
        for client in self._upstreams.swap(snapshot):
            task = asyncio.get_running_loop().create_task(_retire(client))
            self._retiring[task] = client
            task.add_done_callback(self._retired)

    def reopen_log(self) -> None:
        """Open the log's file again: the one there was has been moved away."""
        self._log.reopen()

    def hasten(self) -> None:
        """End a `stop` that is waiting: what is still in progress is cut off."""
        self._public.hasten()

    async def stop(self) -> int:
        """Let requests in progress finish, for at most `drain_s`. Returns how many connections had to be cut."""
        self._gateway.is_draining = True
        if self._link is not None:
            self._link.drain()
        cut = await self._public.drain(self._settings.drain_s)
        self._gateway.close()
        for task, client in list(self._retiring.items()):
            task.cancel()
            await client.close()
        await self._upstreams.close()
        if self._linking is not None and self._link is not None:
            self._linking.cancel()
            self._aging.cancel()
            self._link.close()
        self._deadlines.close()
        self._log.close()
        if self._journal is not None:
            self._journal.close()
        return cut

    def _retired(self, task: "asyncio.Task[None]") -> None:
        del self._retiring[task]


async def _retire(client: HttpClient) -> None:
    """Close a client that no new request uses, when its last one is done."""
    while any(pool.in_flight or pool.waiting for pool in client.gauges().values()):  # noqa: ASYNC110 -- minutes matter
        await asyncio.sleep(RETIREMENT_CHECK_S)
    await client.close()


def _log_failed(error: OSError) -> None:
    _logger.error("the request log cannot be written: %s", error)


class LinkLessor:
    """The line to control as the engine's coroutines see it."""

    def __init__(self, link: LinkClient) -> None:
        self._link = link

    def ask(self, wants: Sequence[Want]) -> Waiter[Sequence[Grant] | Unable]:
        answer: Waiter[Sequence[Grant] | Unable] = Waiter()
        self._link.ask(wants, answer.set)
        return answer


class LinkCustodian:
    """The same for who owns what providers keep."""

    def __init__(self, link: LinkClient) -> None:
        self._link = link

    def look_up(self, ids: Sequence[str]) -> Waiter[Sequence[Record] | Unable]:
        answer: Waiter[Sequence[Record] | Unable] = Waiter()
        self._link.state.look_up(ids, answer.set)
        return answer

    def tell(self, changes: Sequence[Change]) -> None:
        self._link.state.tell(changes)


def main() -> int:
    """Be the worker that the one argument describes. Returns the exit code."""
    task = msgspec.json.decode(sys.argv[2], type=WorkerTask)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_work(task))


async def _work(task: WorkerTask) -> int:
    loop = asyncio.get_running_loop()
    path = Path(task.snapshot)
    try:
        compiled = read_or_compile(path, os.environ)
    except (OSError, SnapshotError) as error:
        logging.basicConfig(format=f"%(asctime)s %(levelname)s worker {task.slot}: %(message)s", stream=sys.stderr)
        _logger.error("cannot start: %s", error)  # noqa: TRY400 -- the trace would not help
        return 1
    settings = compiled.settings
    logging.basicConfig(
        level=settings.log_level.upper(),
        format=f"%(asctime)s %(levelname)s worker {task.slot}: %(message)s",
        stream=sys.stderr,
    )
    journals = Path(task.data_dir) / "journal"
    try:
        log_fd = _open_log(settings)
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
    stopping = asyncio.Event()
    loop.add_signal_handler(signal.SIGINT, lambda: None)  # the supervisor says when
    loop.add_signal_handler(signal.SIGTERM, stopping.set)
    loop.add_signal_handler(signal.SIGHUP, worker.reopen_log)

    def on_orphaned() -> None:
        loop.remove_reader(task.life_fd)  # it stays readable
        stopping.set()

    loop.add_reader(task.life_fd, on_orphaned)
    connecting = loop.create_task(worker.connect(task.slot, task.epoch, task.link, on_snapshot, task.patience_s))
    told = loop.create_task(stopping.wait())
    await asyncio.wait((connecting, told), return_when=asyncio.FIRST_COMPLETED)
    told.cancel()
    if stopping.is_set():  # before it served
        connecting.cancel()
        await asyncio.wait((connecting,))
        await worker.stop()
        return 0
    await connecting  # raises what it raised
    await worker.start([socket.socket(fileno=fd) for fd in task.listen_fds])
    say_ready(task.ready_fd)
    await stopping.wait()
    loop.remove_reader(task.life_fd)
    loop.add_signal_handler(signal.SIGTERM, worker.hasten)  # the second signal does not wait
    cut = await worker.stop()
    if cut:
        _logger.warning("%d requests were cut off", cut)
    return 0


def _read(path: Path) -> tuple[Snapshot, ModelList, Mapping[str, Limit]]:
    """What takes its time of a new configuration, in a thread beside the loop."""
    snapshot = read_or_compile(path, os.environ).snapshot
    return snapshot, ModelList(snapshot).prepare(), counters_of(snapshot)


def _open_log(settings: Settings) -> int:
    if settings.log_file is None:
        return 1
    return os.open(settings.log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


def _journal_in_trouble(problem: str | None) -> None:
    if problem is None:
        _logger.warning("the journal can be written again")
    else:
        _logger.error("%s. Requests under a limit are refused once the present segment is full", problem)
