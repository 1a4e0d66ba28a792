"""A whole gateway for a test: simulated providers, a configuration file, and a worker in this process or as a process.
Checks its invariants at the end of every test.

    async with serving(providers={"alpha": Settings()}, models={"chat": ["alpha/gpt-4o-mini"]}) as gateway:
        answer = await gateway.ask(chat())
"""

import asyncio
import contextlib
import json
import logging
import os
import re
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from pathlib import Path
from time import monotonic
from typing import Any, TypeVar

import msgspec
import uvloop

from fakes.clock import PATIENCE_S
from fakes.metrics import samples
from fakes.processes import watched
from integration.client import Answer, Client
from pointsman.config.compile import compile_file
from pointsman.runtime.worker import Worker
from pointsman.simulate import Settings, SimulatedProvider

T = TypeVar("T")
MESSAGES = [{"role": "user", "content": "Say something"}]
ADMIN_TOKEN = "pm-admin-token-of-the-tests"
_LISTENING = re.compile(r"listening on (https?://[^ ]+:(\d+)/v1), console on (https?://[^ ]+:\d+)/")


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a test's coroutine to its end on uvloop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


def chat(model: str = "chat", **fields: Any) -> dict[str, Any]:
    """Build the body of a chat request."""
    return {"model": model, "messages": MESSAGES, **fields}


async def until(condition: Callable[[], object], expected: str, timeout_s: float = PATIENCE_S) -> None:
    """Wait for a condition that has no event. `expected` is a clause that describes it."""
    try:
        async with asyncio.timeout(timeout_s):
            while not condition():
                await asyncio.sleep(0.002)
    except TimeoutError:
        raise AssertionError(f"timed out after {timeout_s:g} s; expected that {expected}") from None


class Gateway:
    """A running gateway. `worker` is set if it runs in this process, `process` if it does not.

    `records` are the lines of the request log so far, up to 0.1 s late: see `wait_for_records`. `errors` are log
    messages that no test may cause: tracebacks, and errors of the loop.
    """

    def __init__(self, folder: Path, providers: Mapping[str, SimulatedProvider]) -> None:
        self.providers = providers
        self.config_file = folder / "pointsman.json"
        self.log_file = folder / "requests.log"
        self.log_file.touch()
        self.base_url = ""
        self.console_url = ""
        self.port = 0
        self.worker: Worker | None = None
        self.process: asyncio.subprocess.Process | None = None
        self.environ: Mapping[str, str] = {}
        self.readers: list[asyncio.Task[None]] = []
        self.stderr: list[str] = []
        self.errors: list[str] = []
        self._start_s = 0.0

    @property
    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log_file.read_text().splitlines()]

    async def wait_for_records(self, count: int, status: int | None = None) -> list[dict[str, Any]]:
        """Wait for at least `count` records. If `status` is set, only records with that status count."""

        def found() -> list[dict[str, Any]]:
            return [record for record in self.records if status in (None, record["status"])]

        def enough() -> bool:
            # Lines are counted first because parsing thousands of them at each look is slow.
            return self.log_file.read_bytes().count(b"\n") >= count and len(found()) >= count

        await until(enough, f"{count} requests are in the log")
        return found()

    async def start(self) -> None:
        """Start it as a process, or start it again after its death."""
        began_at = monotonic()
        with self.log_file.open("ab") as log:
            arguments = ("-m", "pointsman", "serve", "--config", str(self.config_file))
            self.process = await asyncio.create_subprocess_exec(
                sys.executable,
                *arguments,
                stdout=log,
                stderr=asyncio.subprocess.PIPE,
                # The files of a killed process are deleted with the folder of the test.
                env={"POINTSMAN_ADMIN_TOKEN": ADMIN_TOKEN, **self.environ, "TMPDIR": str(self.config_file.parent)},
            )
        assert self.process.stderr is not None
        listening: asyncio.Future[re.Match[str]] = asyncio.get_running_loop().create_future()
        self.readers.append(asyncio.create_task(_read_stderr(self.process.stderr, self.stderr, listening)))
        async with asyncio.timeout(PATIENCE_S):
            match = await listening
        self._start_s = monotonic() - began_at
        self.base_url, self.port, self.console_url = match[1], int(match[2]), match[3]

    def within_s(self, usual_s: float) -> float:
        """Scale a bound that holds on a machine where a start takes one second."""
        return usual_s * max(1.0, self._start_s)

    async def watches(self) -> None:
        """Wait until control watches the configuration's folder. An earlier change would be detected late."""
        await watched(self.config_file.parent, self.children["control"])

    @property
    def children(self) -> dict[str, int]:
        """Return the supervisor's processes by name, such as `worker 0` and `control`."""
        assert self.process is not None
        listed = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        found: dict[str, int] = {}
        for pid in map(int, listed.split()):
            with contextlib.suppress(OSError, ValueError):  # the process has not started, or has ended
                _, name, task = Path(f"/proc/{pid}/cmdline").read_text().partition("\0-m\0")[2].split("\0")[:3]
                slot = json.loads(task).get("slot")
                found[f"worker {slot}" if name == "worker" else name] = pid
        return found

    async def connect(self, **how: Any) -> Client:
        """Connect to the public address."""
        return await Client.connect(self.port, **how)

    async def ask(self, body: Any = None, **how: Any) -> Answer:
        """Send one request on a connection of its own."""
        client = await self.connect()
        try:
            return await client.ask(body, **how)
        finally:
            await client.close()

    async def ask_many(self, count: int, concurrency: int, body: Any, **how: Any) -> list[Answer]:
        """Send `count` requests over `concurrency` kept connections. `body` may be a function of a request's number."""
        answers: list[Answer] = []
        numbers = iter(range(count))

        async def work() -> None:
            client = await self.connect()
            for number in numbers:
                answers.append(await client.ask(body(number) if callable(body) else body, **how))
                if answers[-1].ended != "complete":
                    await client.close()
                    client = await self.connect()
            await client.close()

        await asyncio.gather(*(work() for _ in range(concurrency)))
        return answers

    async def metrics(self) -> dict[str, float]:
        """Return the samples of the metrics page by name and labels, or those of the worker in this process."""
        if self.worker is not None:
            return samples(self.worker.metrics())
        return samples((await self.admin("/metrics")).body.decode())

    async def admin(self, path: str, method: str = "GET", body: Any = None) -> Answer:
        """Send one request to the console's address, with the admin token."""
        client = await Client.connect(int(self.console_url.rpartition(":")[2]))
        headers = {"host": "127.0.0.1", "authorization": f"Bearer {ADMIN_TOKEN}"}
        try:
            return await client.ask(body, path=path, method=method, headers=headers)
        finally:
            await client.close()

    @property
    def live(self) -> Any:
        """The live state of providers and keys in the worker of this process."""
        assert self.worker is not None
        return self.worker.plane.live

    def connections_upstream(self, *, idle: bool = False) -> int:
        """Count the connections to providers of the worker in this process, open or opening, and the queued legs."""
        assert self.worker is not None
        gauges = [pool.gauges() for client in self.worker.plane.upstreams for pool in client._pools.values()]
        return sum(gauge.in_flight + gauge.waiting + (gauge.idle if idle else 0) for gauge in gauges)


@contextlib.asynccontextmanager
async def serving(
    *,
    providers: Mapping[str, Settings] | None = None,
    as_process: bool = False,
    is_alone: bool = True,
    environ: Mapping[str, str] | None = None,
    **sections: Any,
) -> AsyncIterator[Gateway]:
    """Run a gateway in front of simulated providers. `sections` are those of the configuration. Missing parts are
    filled in: free ports, no virtual keys, and each provider's type, address and an empty key. The section
    `provider_settings` overrides fields of a provider. Fails at the end if anything leaked or a traceback was logged.
    Leaks of tasks are checked only if the gateway has the loop for itself."""
    tasks = asyncio.all_tasks()
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pointsman-test-")))
        started = {
            name: await stack.enter_async_context(SimulatedProvider(settings_named(name, settings)))
            for name, settings in (providers or {}).items()
        }
        gateway = Gateway(folder, started)
        gateway.config_file.write_text(json.dumps(document(gateway, sections)))
        start = _in_process if as_process else _in_worker
        async with start(gateway, {**os.environ, **(environ or {})}):
            yield gateway
        await until(lambda: not any(one.connections for one in started.values()), "no connection to a provider is open")
    leaked = {task for task in asyncio.all_tasks() - tasks if not task.done()}
    assert not leaked or not is_alone, f"tasks were leaked: {leaked}"
    assert not gateway.errors, "\n".join(gateway.errors)


def settings_named(name: str, settings: Settings) -> Settings:
    return msgspec.structs.replace(settings, name=name) if settings.name == Settings().name else settings


def document(gateway: Gateway, sections: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration of a gateway, ready to be written to `gateway.config_file`."""
    given = dict(sections)
    overrides = given.pop("provider_settings", {})
    local = {"type": "openai-compatible", "keys": {"only": ""}}
    entries = {name: {**local, "base_url": one.base_url} for name, one in gateway.providers.items()}
    for name, fields in overrides.items():
        entries[name] = {**entries.get(name, local), **fields}
    return {
        "version": 1,
        "server": {
            "listen": "127.0.0.1:0",
            "drain_s": 30,
            "allowed_hosts": ["a", "x", "gateway", "gateway.test", "provider"],
            **given.pop("server", {}),
        },
        "console": {"listen": "127.0.0.1:0"},
        "providers": entries,
        "governance": {"require_key": False},
        **given,
    }


class _Errors(logging.Handler):
    """Collects log messages with a traceback."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__(logging.WARNING)
        self._errors = errors

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info:
            self._errors.append(logging.Formatter().format(record))


@contextlib.asynccontextmanager
async def _in_worker(gateway: Gateway, environ: Mapping[str, str]) -> AsyncIterator[None]:
    checked = compile_file(gateway.config_file, environ)
    assert checked.compiled is not None, "\n".join(map(str, checked.problems))
    loop = asyncio.get_running_loop()
    handler = _Errors(gateway.errors)
    logging.getLogger().addHandler(handler)
    loop.set_exception_handler(lambda _, context: gateway.errors.append(repr(context)))
    log_fd = os.open(gateway.log_file, os.O_WRONLY | os.O_APPEND)
    worker = gateway.worker = Worker(checked.compiled.snapshot, checked.compiled.settings, log_fd)
    try:
        await worker.start()
        gateway.port = worker.plane.server.port
        gateway.base_url = f"http://127.0.0.1:{worker.plane.server.port}/v1"
        yield
        public, live = worker.plane.server, worker.plane.live
        await until(lambda: not public.requests, "no request is in progress")
        assert not live.in_progress, f"attempts were leaked: {live.in_progress}"
        assert not worker.plane.ledger.open_attempts, "reservations were leaked"
        assert not public.body_memory, f"{public.body_memory} bytes of bodies are still accounted for"
        await until(lambda: not gateway.connections_upstream(), "no request to a provider is in progress")
    finally:
        cut = await worker.stop()
        os.close(log_fd)
        logging.getLogger().removeHandler(handler)
        loop.set_exception_handler(None)
    assert cut == 0, f"{cut} connections had to be cut"


@contextlib.asynccontextmanager
async def _in_process(gateway: Gateway, environ: Mapping[str, str]) -> AsyncIterator[None]:
    gateway.environ = environ
    try:
        await gateway.start()
        yield
        if gateway.process is not None and gateway.process.returncode is None:
            await _wait_until_idle(gateway)
            gateway.process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(PATIENCE_S):
                assert await gateway.process.wait() == 0, "".join(gateway.stderr)
    finally:
        if gateway.process is not None and gateway.process.returncode is None:
            gateway.process.kill()
            await gateway.process.wait()
        await asyncio.gather(*gateway.readers)
    text = "".join(gateway.stderr)
    if "Traceback" in text or "cut off" in text:
        gateway.errors.append(text)


async def _read_stderr(
    stream: asyncio.StreamReader, lines: list[str], listening: "asyncio.Future[re.Match[str]]"
) -> None:
    async for raw in stream:
        lines.append(raw.decode())
        match = _LISTENING.search(lines[-1])
        if match and not listening.done():
            listening.set_result(match)
    if not listening.done():
        listening.set_exception(AssertionError("the gateway did not start:\n" + "".join(lines)))


async def _wait_until_idle(gateway: Gateway) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            metrics = await gateway.metrics()
            running = [name for name in metrics if name.startswith("pointsman_attempts_in_progress")]
            # A worker that has just been replaced has not reported its gauges yet.
            if metrics.get("pointsman_requests_in_progress") == 0 and not running:
                break
            await asyncio.sleep(0.02)
    assert metrics["pointsman_body_bytes"] == 0
