"""Counts the instructions of the worker for one request, with callgrind. A busy machine does not change this figure.

    python -m bench.instructions --json docs/measurements/instructions.json
    python -m bench.instructions --observability --json docs/measurements/observability.json

The worker of a whole gateway runs under valgrind, with all features on, as in `bench.gateway`. Requests come one after
the other over one connection, so that nothing is batched. Only the functions count that the event loop calls with bytes
of a client or of a provider, and all that they call: not the kernel, the loop itself, and timers, which run more often
for each request the slower the worker is.
"""

import argparse
import contextlib
import ctypes
import itertools
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import trustme
from bench import nginx
from bench.gateway import (
    ADAPTIVE,
    ADAPTIVE_DEGRADED,
    DEGRADED,
    FOUR,
    FOUR_DEGRADED,
    MESSAGES,
    PLAIN,
    STREAM,
    gateway,
)
from bench.load import EVENTS
from bench.processes import LOAD_CORE, Server, free_ports
from bench.workload import HEADERS, Workload, prepare

_MODULE = "bench.instructions"
_WARM, _MEASURED, _STREAMS = 150, 400, 30
CHAT_PATH, _MESSAGES_PATH = "/v1/chat/completions", "/v1/messages"
_MODELS = (PLAIN, DEGRADED, STREAM, MESSAGES, FOUR, FOUR_DEGRADED, ADAPTIVE, ADAPTIVE_DEGRADED)
_BARE = "BARE_WORKER"  # the variable by which a worker records nothing
HEAVY = signal.SIGRTMIN + 6
_SLOWER = 300
_OPENS = 40  # requests that open the breaker of a target that refuses every connection


def _under_callgrind(arguments: list[str]) -> list[str]:
    file = f"--callgrind-out-file={os.environ['TOOL_FOLDER']}/callgrind.%p"
    python = [sys.executable, "-m", _MODULE, *arguments[-2:]]
    return ["valgrind", "-q", "--tool=callgrind", "--instr-atstart=no", "--collect-atstart=no", file, *python]


def serve(wrapped: Callable[[list[str]], list[str]]) -> None:
    """Run `pointsman serve`, with its workers started by other arguments."""
    popen = subprocess.Popen

    def start(arguments: list[str], **rest: Any) -> subprocess.Popen[bytes]:
        if any(word.endswith("worker") for word in arguments[:-1]):
            arguments = wrapped(arguments)
        return popen(arguments, **rest)

    subprocess.Popen = start  # type: ignore[assignment,misc]
    from pointsman.cli import main as pointsman  # noqa: PLC0415 -- after the change above
    from pointsman.runtime import supervisor  # noqa: PLC0415

    supervisor.START_S *= 5  # a worker under a tool starts slowly

    sys.argv[0] = str(Path(sys.executable).with_name("pointsman"))
    pointsman()


def work() -> None:
    """Run a child of the supervisor for the module and the task in the arguments. The signal `HEAVY` multiplies the
    times by which routing recognises heavy traffic, since the worker is much slower than without the tool."""
    if _BARE in os.environ:
        record_nothing()
    from pointsman.routing import evaluation, paces  # noqa: PLC0415 -- as in `pointsman.runtime.__main__`
    from pointsman.runtime import worker  # noqa: PLC0415
    from pointsman.runtime.tasks import run_child  # noqa: PLC0415

    def slow_down(*_: object) -> None:
        for name in ("HEAVY_S", "KEPT_S", "ENOUGH_S"):
            setattr(paces, name, getattr(paces, name) * _SLOWER)
        evaluation.MAX_EVALUATION_S *= _SLOWER

    signal.signal(HEAVY, slow_down)
    if "COLLECT" in os.environ:
        toggle = ctypes.CDLL(os.environ["COLLECT"]).collect_toggle
        count_within(toggle, toggle)
    sys.exit(run_child(worker.work, sys.argv[2]))


def record_nothing() -> None:
    """Turn off what a worker does for metrics, the request log and traces. Its journal still has the amounts of money.
    Call this before the modules that record requests are imported."""
    from pointsman.engine import record  # noqa: PLC0415 -- as above
    from pointsman.engine.request_metrics import RequestMetrics  # noqa: PLC0415

    def end(answer: Any, *_: object) -> None:
        answer.log.served_by = answer.log.refused = answer.exchange.on_cancel = answer.exchange.on_drain = None

    setattr(record, "record_request", end)  # noqa: B010 -- it has other parameters
    for name in ("attempt", "request"):
        setattr(RequestMetrics, name, lambda *_, **__: None)


def count_within(begin: Callable[[], object], end: Callable[[], object]) -> None:
    """Call `begin` and `end` around the functions that the event loop calls with bytes of a request."""
    from pointsman.transport.client_connection import ClientConnection  # noqa: PLC0415 -- as above
    from pointsman.transport.upstream_connection import UpstreamConnection  # noqa: PLC0415

    def counted(received: Callable[[Any, bytes], None]) -> Callable[[Any, bytes], None]:
        def data_received(self: Any, data: bytes) -> None:
            begin()
            received(self, data)
            end()

        return data_received

    for connection in (ClientConnection, UpstreamConnection):
        connection.data_received = counted(connection.data_received)  # type: ignore[method-assign,assignment]


def compiled(folder: Path, name: str) -> Path:
    """Compile a C file beside this one to a library."""
    library = folder / f"{name}.so"
    flags = ["-O2", "-shared", "-fPIC", f"-I{sysconfig.get_paths()['include']}"]
    subprocess.run(["gcc", *flags, "-o", str(library), str(Path(__file__).with_name(f"{name}.c"))], check=True)
    return library


class Client:
    """One connection that sends one request after another and checks each answer."""

    def __init__(self, port: int, work: Workload) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), 120)
        self._keys = itertools.cycle(work.keys)
        self._work = work
        self._bodies = {name: itertools.cycle(self._lines(name)) for name in _MODELS}
        self._count = 0

    def _lines(self, model: str) -> list[bytes]:
        return self._work.bodies(model, stream=model == STREAM).read_bytes().splitlines()

    def ask(self, model: str, count: int, *, unique: bool = False, path: str = CHAT_PATH) -> None:
        for _ in range(count):
            self._count += 1
            body, extra = next(self._bodies[model]), f"X-Request-Id: {self._count}\r\n" if unique else ""
            if path == _MESSAGES_PATH:  # which has no such field
                body = body.replace(b',"stream_options":{"include_usage":true}', b"")
            head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {next(self._keys)}\r\n"
            head += f"{HEADERS}{extra}Content-Length: {len(body)}\r\n\r\n"
            self._socket.sendall(head.encode() + body)
            self._check(model == STREAM)

    def _check(self, is_stream: bool) -> None:
        received = b""
        while True:
            data = self._socket.recv(65536)
            received += data
            head, blank, body = received.partition(b"\r\n\r\n")
            if not data or (blank and not head.startswith(b"HTTP/1.1 200")):
                raise RuntimeError(f"a request failed: {received[:500]!r}")
            length = re.search(rb"(?i)content-length: *(\d+)", head)
            if blank and (body.endswith(b"0\r\n\r\n") if is_stream else length and len(body) >= int(length[1])):
                texts = body.count(b'" word') if is_stream else 0
                if is_stream and texts != EVENTS - 3:  # the first and the last two events have no text
                    raise RuntimeError(f"a stream is not whole: {body[-500:]!r}")
                return


class Counter:
    """Reads callgrind's counts for a process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.pid = self._find()
        self._control("-i", "on")

    def _find(self) -> int:
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                words = path.read_bytes().split(b"\0")
                if f"--callgrind-out-file={self._folder}/callgrind.%p".encode() in words:
                    return int(path.parent.name)
        raise RuntimeError("no worker runs under callgrind")

    def _control(self, *words: str) -> None:
        done = subprocess.run(
            ["callgrind_control", *words, str(self.pid)], capture_output=True, text=True, check=False, timeout=120
        )
        if "OK" not in done.stdout:
            raise RuntimeError(f"callgrind_control {' '.join(words)}: {done.stdout}{done.stderr}")

    def begin(self) -> None:
        self._control("-z")

    def end(self) -> int:
        """Return the instructions since `begin`."""
        before = set(self._folder.glob("callgrind.*"))
        self._control("-d")
        deadline = time.monotonic() + 60
        while not (new := set(self._folder.glob("callgrind.*")) - before):
            if time.monotonic() > deadline:
                raise RuntimeError("callgrind wrote nothing")
            time.sleep(0.05)
        found = re.search(r"^totals: (\d+)", new.pop().read_text(), re.MULTILINE)
        assert found is not None
        return int(found[1])


@contextlib.contextmanager
def running(folder: Path, module: str, more: Mapping[str, object] | None = None) -> Iterator[Client]:
    """Start a gateway in front of upstreams, by the command `serve` of a module, and a client of it. `more` are further
    sections of its configuration."""
    with contextlib.ExitStack() as stack:
        work, authority = prepare(folder), trustme.CA()
        issued = authority.issue_cert("localhost")
        files = nginx.Certificate(folder / "ca.pem", folder / "cert.pem", folder / "key.pem")
        authority.cert_pem.write_to_path(files.authority)
        issued.private_key_pem.write_to_path(files.key)
        issued.cert_chain_pems[0].write_to_path(files.chain)
        *plain, secure, listen, console, one, two, refusing = free_ports(10)
        mock = [sys.executable, "-m", "bench.load", "upstream", "--ports", str(one), str(two)]
        stack.enter_context(nginx.upstream(folder / "upstream", LOAD_CORE, plain, [secure], files))
        stack.enter_context(Server("streams", mock, LOAD_CORE, [one, two], folder / "streams.log"))
        pair, degraded = plain[:2], [*plain[:3], refusing]
        urls = {PLAIN: pair, DEGRADED: [plain[0], refusing], STREAM: [one, two], MESSAGES: pair}
        urls |= {FOUR: plain, ADAPTIVE: plain, FOUR_DEGRADED: degraded, ADAPTIVE_DEGRADED: degraded}
        upstreams = {model: [f"http://127.0.0.1:{port}/v1" for port in ports] for model, ports in urls.items()}
        command = f"{sys.executable} -m {module} serve --config {{config}}"
        os.environ["TOOL_FOLDER"] = str(folder)
        server = gateway(
            command, folder / "gateway", (listen, console), upstreams, work.keys, files.authority, more=more
        )
        server.patience_s = 240.0
        stack.enter_context(server)
        client = Client(listen, work)
        client.ask(PLAIN, 1)  # the sockets are bound before a worker serves
        yield client


def measure(only: Sequence[str]) -> dict[str, float]:
    """Return thousands of instructions for one request, by row. Measure only the rows that begin with one of `only`,
    or all."""
    rows: dict[str, float] = {}
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pointsman-bench-")))
        os.environ["COLLECT"] = str(compiled(folder, "collect"))
        client = stack.enter_context(running(folder, _MODULE))
        counter = Counter(folder)

        def row(title: str, model: str, count: int, *, unique: bool = False, path: str = CHAT_PATH) -> None:
            if only and not title.startswith(tuple(only)):
                return
            client.ask(model, count // 3, unique=unique, path=path)
            counter.begin()
            client.ask(model, count, unique=unique, path=path)
            rows[title] = round(counter.end() / count / 1000, 1)
            print(f"{title}: {rows[title]} thousand instructions", flush=True)

        client.ask(PLAIN, _WARM)
        row("plain", PLAIN, _MEASURED)
        row("plain, a header unique per request", PLAIN, _MEASURED, unique=True)
        row(f"a stream of {EVENTS} events", STREAM, _STREAMS)
        row("a message of Anthropic's dialect", MESSAGES, _MEASURED, path=_MESSAGES_PATH)
        row("the same, translated to a chat completion", PLAIN, _MEASURED, path=_MESSAGES_PATH)
        row("a chat completion, translated to a message", MESSAGES, _MEASURED)
        row(f"a stream of {EVENTS} events, translated from chat", STREAM, _STREAMS, path=_MESSAGES_PATH)
        row("weighted over four targets", FOUR, _MEASURED)
        row("adaptive over the same four", ADAPTIVE, _MEASURED)
        client.ask(DEGRADED, _OPENS)
        row("one of its two targets degraded", DEGRADED, _MEASURED)
        row("plain, while a target of another model is degraded", PLAIN, _MEASURED)
        client.ask(FOUR_DEGRADED, _OPENS)
        row("weighted, one of its four targets degraded", FOUR_DEGRADED, _MEASURED)
        client.ask(ADAPTIVE_DEGRADED, _OPENS)
        row("adaptive, one of its four targets degraded", ADAPTIVE_DEGRADED, _MEASURED)
        os.kill(counter.pid, HEAVY)
        client.ask(ADAPTIVE, _WARM)
        row("adaptive under heavy traffic", ADAPTIVE, _MEASURED)
        client.ask(ADAPTIVE_DEGRADED, _WARM)
        row("adaptive under heavy traffic, one of its four targets degraded", ADAPTIVE_DEGRADED, _MEASURED)
    title = "plain, with 1 % of the traces for a collector"
    if not only or title.startswith(tuple(only)):
        rows[title] = _traced(title)
    return rows


def _traced(title: str) -> float:
    """Return the row of a gateway that exports traces, logs and metrics. Its collector is away, so that only the
    worker's part of the export is there."""
    otlp = {"endpoint": "http://127.0.0.1:1", "signals": ["traces", "logs", "metrics"]}
    return _plain(title, {"telemetry": {"otlp": otlp, "traces": {"ratio": 0.01}}})


def _plain(title: str, more: Mapping[str, object] | None = None) -> float:
    """Return the thousands of instructions for a plain request of a gateway with further sections."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pointsman-bench-")))
        os.environ["COLLECT"] = str(compiled(folder, "collect"))
        client = stack.enter_context(running(folder, _MODULE, more))
        counter = Counter(folder)
        client.ask(PLAIN, _WARM + _MEASURED // 3)
        counter.begin()
        client.ask(PLAIN, _MEASURED)
        found = round(counter.end() / _MEASURED / 1000, 1)
        print(f"{title}: {found} thousand instructions", flush=True)
    return found


def measure_observability() -> dict[str, object]:
    """Return the instructions for a request with and without metrics, request log and 1 % of the traces."""
    whole = _traced("with metrics, the request log and 1 % of the traces")
    os.environ[_BARE] = "1"
    bare = _plain("without them")
    del os.environ[_BARE]
    return {
        "thousand_instructions": {"with": whole, "without": bare},
        "more_percent": round(100 * (whole / bare - 1), 1),
    }


def main() -> int:
    if sys.argv[1:2] == ["serve"]:
        serve(_under_callgrind)
        return 0
    if sys.argv[1:2] == ["worker"]:
        work()
    parser = argparse.ArgumentParser(prog="python -m bench.instructions")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here")
    parser.add_argument("--rows", nargs="+", default=[], metavar="TITLE", help="only rows with such a beginning")
    parser.add_argument("--observability", action="store_true", help="only the cost of metrics, request log and traces")
    given = parser.parse_args()
    missing = [tool for tool in ("nginx", "gcc", "valgrind", "callgrind_control") if shutil.which(tool) is None]
    if missing:
        print("skipped: this needs " + ", ".join(missing))
        return 0
    found = measure_observability() if given.observability else {"thousand_instructions": measure(given.rows)}
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
