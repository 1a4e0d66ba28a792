"""The composition root of the data plane: builds one worker from a snapshot and runs it until it is told to stop."""

import asyncio
import gc
import logging
import ssl
from random import Random, SystemRandom

from pointsman.config.settings import Settings
from pointsman.domain.snapshots import Snapshot
from pointsman.engine.accounts import Accounts
from pointsman.engine.billing import Billing
from pointsman.engine.handle import Gateway
from pointsman.engine.live import Live
from pointsman.engine.serving import Engine
from pointsman.engine.status import StatusPage
from pointsman.engine.upstreams import Upstreams
from pointsman.routing.ledger import Ledger
from pointsman.telemetry.log import LogWriter
from pointsman.transport.deadlines import Deadlines
from pointsman.transport.http_client import HttpClient
from pointsman.transport.http_server import HttpServer, Limits

GC_THRESHOLD = 20_000  # objects made and not freed
RETIREMENT_CHECK_S = 5.0

_logger = logging.getLogger(__name__)


class Worker:
    """One data plane in one event loop. `settings` take effect here only; `log_fd` is where request lines go."""

    def __init__(self, snapshot: Snapshot, settings: Settings, log_fd: int) -> None:
        loop = asyncio.get_running_loop()
        self._settings = settings
        self._log = LogWriter(log_fd, on_error=_log_failed)
        self._deadlines = Deadlines(loop)
        self._upstreams = Upstreams(loop, self._deadlines)
        live, rng = Live(snapshot), Random(SystemRandom().getrandbits(128))
        billing = Billing(live, Ledger(), None, None)
        self._engine = Engine(live, self._upstreams, Accounts(self._log), billing, rng)
        self._gateway = Gateway(self._engine)
        self._public = HttpServer(loop, self._gateway, _limits(settings), self._deadlines)
        self._status = StatusPage(self._engine, self._public)
        self._console = HttpServer(loop, self._status, Limits(), self._deadlines)
        self._retiring: dict[asyncio.Task[None], HttpClient] = {}
        self._hastened = asyncio.Event()

    async def start(self) -> None:
        """Listen. Raises `OSError` when an address cannot be had."""
        listen, console, files = self._settings.listen, self._settings.console, self._settings.tls
        context = None
        if files is not None:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(files.cert_file, files.key_file)
        await self._public.listen(listen.host or None, listen.port, ssl=context)
        await self._console.listen(console.host or None, console.port)
        _settle_memory()

    @property
    def public_port(self) -> int:
        return self._public.port

    @property
    def console_port(self) -> int:
        return self._console.port

    def swap(self, snapshot: Snapshot) -> None:
        """Put a new configuration in force. Requests in progress keep the one they began with."""
        self._engine.live.swap(snapshot)
        _settle_memory()
        for client in self._upstreams.swap(snapshot):
            task = asyncio.get_running_loop().create_task(_retire(client))
            self._retiring[task] = client
            task.add_done_callback(self._retired)

    def hasten(self) -> None:
        """End a `stop` that is waiting: what is still in progress is cut off."""
        self._hastened.set()

    async def stop(self) -> int:
        """Let requests in progress finish, for at most `drain_s`. Returns how many connections had to be cut."""
        self._gateway.is_draining = self._status.is_draining = True
        drain = asyncio.ensure_future(self._public.drain(self._settings.drain_s))
        hasten = asyncio.ensure_future(self._hastened.wait())
        await asyncio.wait((drain, hasten), return_when=asyncio.FIRST_COMPLETED)
        hasten.cancel()
        if not drain.done():
            self._public.close()
        cut = await drain
        for task, client in list(self._retiring.items()):
            task.cancel()
            await client.close()
        await self._console.drain(0)
        await self._upstreams.close()
        self._deadlines.close()
        self._log.close()
        return cut

    def _retired(self, task: "asyncio.Task[None]") -> None:
        del self._retiring[task]


def _settle_memory() -> None:
    """Have the garbage collector look at young objects only, and less often: what there is now stays, and requests
    leave nothing behind that refers to itself."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD, 20, 50)


def _limits(settings: Settings) -> Limits:
    given, times = settings.limits, settings.limits.timeouts
    return Limits(
        head_bytes=given.head_bytes,
        body_bytes=given.body_bytes,
        body_memory_bytes=given.body_memory_bytes,
        head_timeout_s=times.head_s,
        body_timeout_s=times.body_s,
        idle_timeout_s=times.idle_s,
        write_timeout_s=times.write_s,
        max_connections=given.connections,
    )


async def _retire(client: HttpClient) -> None:
    """Close a client that no new request uses, when its last one is done."""
    while any(pool.in_flight or pool.waiting for pool in client.gauges().values()):  # noqa: ASYNC110 -- minutes matter
        await asyncio.sleep(RETIREMENT_CHECK_S)
    await client.close()


def _log_failed(error: OSError) -> None:
    _logger.error("the request log cannot be written: %s", error)
