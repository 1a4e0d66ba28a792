"""`python -m bench.leases`: the time until control grants a lease to a worker while others use the admin API.

The store of a real gateway holds many requests. A simulated worker requests 200 leases per second and measures
the time: alone, then while ten clients read all requests page by page, and twenty sign in as fast as possible.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

from pointsman.control.store.database import store_url
from pointsman.control.store.store import Batch, Store
from pointsman.domain.leases import NO_SHARE, LeaseRequest
from pointsman.link.frames import FROM_CONTROL, PROTOCOL, Ask, FrameReader, Granted, Hello, encode

RATE, EXPORTS, LOGINS = 200, 10, 20
TOKEN = secrets.token_urlsafe(32)
CONFIG = """
server: {{listen: "127.0.0.1:0", workers: 1}}
console: {{listen: "127.0.0.1:{port}"}}
data_dir: {folder}/data
providers: {{openai: env.NO_KEY}}
governance: {{virtual_keys: {{me: {{value: env.NO_KEY, budgets: [{{limit_usd: 1000000, per: day}}]}}}}}}
"""


def main() -> int:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(prog="python -m bench.leases", description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--as", dest="name", default="now", help="under which name the figures go into the file")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pointsman-bench-") as folder:
        found = asyncio.run(_measure(Path(folder), given.rows, given.seconds))
    known = json.loads(given.json.read_text()) if given.json is not None and given.json.exists() else {}
    text = json.dumps({**known, given.name: found}, indent=1)
    (given.json.write_text if given.json is not None else print)(text + "\n")
    return 0


async def _measure(folder: Path, rows: int, for_s: float) -> dict[str, Any]:
    (folder / "data").mkdir(mode=0o700)
    await _fill(folder / "data", rows)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    config = folder / "pointsman.yaml"
    config.write_text(CONFIG.format(port=port, folder=folder))
    command = [sys.executable, "-m", "pointsman", "serve", "--config", str(config)]
    environ = {**os.environ, "POINTSMAN_ADMIN_TOKEN": TOKEN, "TMPDIR": str(folder), "NO_KEY": secrets.token_urlsafe()}
    gateway = subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        while gateway.stderr is not None and "console on" not in gateway.stderr.readline():
            pass
        (link,) = folder.glob("pointsman-*/link")
        connection = _Connection()
        await asyncio.get_running_loop().create_unix_connection(lambda: connection, str(link))
        await connection.request_leases(2.0)
        idle = await connection.request_leases(for_s)
        clients = multiprocessing.Process(target=_use, args=(port, TOKEN))
        clients.start()
        await connection.request_leases(3.0)
        busy = await connection.request_leases(for_s)
        clients.terminate()
        clients.join()
    finally:
        gateway.send_signal(signal.SIGTERM)
        gateway.wait()
    return {"rows": rows, "asks_per_s": RATE, "exports": EXPORTS, "logins": LOGINS, "idle": idle, "busy": busy}


async def _fill(data: Path, rows: int) -> None:
    store, now = await Store.open(store_url(None, data)), time.time()
    record = json.dumps({"event": "request", "path": "/v1/chat/completions", "verdicts": ["a verdict"] * 5}).encode()
    ids = [f"{int(now * 1000) - number:012x}" for number in range(rows)]
    rest = (now, "me", "chat", "openai", 200, 70, record, "", 0, 0, "", "", "", "", 0, 7, 0)
    await store.commit(Batch(requests=[(f"{one[:8]}-{one[8:]}-7000-8000-000000000000", *rest) for one in ids]))
    await store.close()


class _Connection(asyncio.Protocol):
    """A worker's connection to control."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport, self.reader, self.took_s = transport, FrameReader(), dict[int, float]()
        self.numbers, self.sent_at = count(1), dict[int, float]()
        identity: dict[str, Any] = {"protocol": PROTOCOL, "slot": 1, "epoch": time.time_ns(), "pid": os.getpid()}
        transport.write(encode(Hello(**identity, journal="", digest="", share=NO_SHARE, holdings=[])))

    def data_received(self, data: bytes) -> None:
        now = time.monotonic()
        for body in self.reader.feed(data):
            frame = FROM_CONTROL.decode(body)
            if isinstance(frame, Granted) and frame.number in self.sent_at:
                self.took_s[frame.number] = now - self.sent_at[frame.number]

    async def request_leases(self, for_s: float) -> dict[str, float]:
        """Request leases at a fixed rate. Return percentiles of the time to the answer in milliseconds, and the number
        of requests without an answer."""
        self.took_s, self.sent_at = {}, {}
        began, window = time.monotonic(), int(time.time() // 86_400) * 86_400
        for number in range(int(for_s * RATE)):
            await asyncio.sleep(max(0.0, began + number / RATE - time.monotonic()))
            one = next(self.numbers)
            self.sent_at[one] = time.monotonic()
            self.transport.write(encode(Ask(one, [LeaseRequest("virtual_key:me|usd|day", window, 1)])))
        await asyncio.sleep(2.0)
        took = sorted(self.took_s.values())
        quantiles = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999, "max": 1.0 - 1e-9}
        found = {name: round(1000 * took[int(part * len(took))], 2) for name, part in quantiles.items()}
        return {**found, "unanswered": len(self.sent_at) - len(took)}


def _use(port: int, token: str) -> None:
    """Read and sign in until this process is ended. It has the lowest priority, because clients usually run on other
    machines."""
    os.nice(19)

    def export() -> None:
        page = _get(port, "requests?limit=1000", token)
        while page:
            page = _get(port, f"requests?limit=1000&before={page[-1]['request_id']}", token)

    def forever(work: Callable[[], object]) -> None:
        while True:
            work()

    for work in (*[export] * EXPORTS, *[lambda: _get(port, "status", token)] * LOGINS):
        threading.Thread(target=forever, args=(work,)).start()


def _get(port: int, path: str, token: str) -> Any:
    request = urllib.request.Request(f"http://127.0.0.1:{port}/api/v1/{path}")
    request.add_header("authorization", f"Bearer {token}")
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


if __name__ == "__main__":
    sys.exit(main())
