"""`python -m bench.alerts`: the time from the cause of an alert to its webhook.

A real gateway serves simulated providers. A request of each virtual key crosses a threshold of its budget, and targets
fail one after the other. The time is from the end of the request that was the cause to the arrival of the message. The
file also has the CPU time of control and admin without traffic, with the default rules and without alerts.
"""

import argparse
import asyncio
import contextlib
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from bench.gateway import serving

from pointsman.simulate import Settings, SimulatedProvider

SECRET = "whsec_QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVoxMjM0NTY="
LONGEST_S = 60.0
BUDGET_USD = 30  # an answer has 20 tokens, each for a dollar
FAILURES = 4  # requests that open the breaker of a target


def main() -> int:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(prog="python -m bench.alerts", description=__doc__)
    parser.add_argument("--alerts", type=int, default=40, help="of each kind")
    parser.add_argument("--idle", type=float, default=20.0, metavar="SECONDS", help="time without traffic")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    found = asyncio.run(_measure(given.alerts, given.idle))
    text = json.dumps(found, indent=1)
    (given.json.write_text if given.json is not None else print)(text + "\n")
    return 0


class _Receiver:
    """The times of arrival of alerts, by the value of one of their labels."""

    def __init__(self) -> None:
        self.arrivals: dict[str, float] = {}
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
                length = int(head.partition("content-length:")[2].partition("\r\n")[0])
                message = json.loads(await reader.readexactly(length))
                now = time.monotonic()
                for one in message["data"]["alerts"] if message["type"] == "alert.fired" else ():
                    labels = one["labels"]
                    self.arrivals.setdefault(labels.get("owner") or labels["model"], now)
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                await writer.drain()
        writer.close()

    async def delays_s(self, causes: Mapping[str, float]) -> list[float]:
        """Return the seconds from each cause to its alert."""
        async with asyncio.timeout(LONGEST_S):
            while causes.keys() - self.arrivals.keys():
                await asyncio.sleep(0.01)
        return [self.arrivals[name] - at for name, at in causes.items()]


async def _measure(count: int, idle_s: float) -> dict[str, Any]:
    idle = {name: await _idle(idle_s, name) for name in ("with_alerts", "without_alerts")}
    budgets = await _run(count, {"name": "budget", "kind": {"budget": [50]}}, _spend)
    states = await _run(count, {"name": "down", "kind": "provider_state"}, _fail)
    return {
        "load_average": round(os.getloadavg()[0], 1),
        "alerts": count,
        "budget_threshold": _figures(budgets),
        "provider_state": _figures(states),
        "idle_cpu_ms_per_s": idle,
    }


def _figures(delays_s: list[float]) -> dict[str, float]:
    ordered = sorted(delays_s)
    places = {"median_s": len(ordered) // 2, "p95_s": int(len(ordered) * 0.95), "worst_s": -1}
    return {name: round(ordered[place], 2) for name, place in places.items()}


async def _run(count: int, rule: dict[str, Any], cause: Any) -> list[float]:
    async with _gateway(count, {"rules": [rule]}) as (port, receiver):
        causes: dict[str, float] = {}
        for number in range(count):
            name = await cause(port, number)
            causes[name] = time.monotonic()
            await asyncio.sleep(random.uniform(0.1, 0.6))
        return await receiver.delays_s(causes)


async def _spend(port: int, number: int) -> str:
    await _ask(port, number, "good")
    return f"virtual_key:key-{number}"


async def _fail(port: int, number: int) -> str:
    for _ in range(FAILURES):
        await _ask(port, number, f"model-{number}")
    return f"bad-{number}"


async def _ask(port: int, number: int, model: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "hi"}]})
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {_key(number)}\r\n"
    writer.write(f"{head}Connection: close\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
    answer = await reader.read()
    writer.close()
    if not answer.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(f"a request failed: {answer[:300]!r}")


async def _idle(seconds: float, name: str) -> dict[str, float]:
    """Return the CPU milliseconds for each second without traffic."""
    async with _gateway(1, {} if name == "with_alerts" else None):
        await asyncio.sleep(5.0)
        before = _cpu_s()
        await asyncio.sleep(seconds)
        return {child: round((now - before[child]) * 1000 / seconds, 2) for child, now in _cpu_s().items()}


def _cpu_s() -> dict[str, float]:
    """Return the CPU seconds of control and admin."""
    found: dict[str, float] = {}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError, ValueError):  # the process has ended
            words = path.read_text().split("\0")
            fields = _stat(path.parent)
            is_ours = int(_stat(Path(f"/proc/{fields[1]}"))[1]) == os.getpid()  # a child of the supervisor
            for name in ("admin", "control") if is_ours else ():
                if name in words:
                    found[name] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return found


def _stat(process: Path) -> list[str]:
    """Return the fields of a process after its name: its state, its parent, and so on."""
    return (process / "stat").read_text().rpartition(")")[2].split()


@contextlib.asynccontextmanager
async def _gateway(count: int, alerts: dict[str, Any] | None) -> AsyncIterator[tuple[int, _Receiver]]:
    receiver = _Receiver()
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/alerts"
    bad = {f"bad-{number}": "status=500" for number in range(count)}
    good, failing = Settings(models=("sim",)), Settings(models=tuple(bad), model_faults=bad)
    environ = {f"KEY_{number}": _key(number) for number in range(count)} | {"HOOK": SECRET}
    async with SimulatedProvider(good) as a, SimulatedProvider(failing) as b:
        with tempfile.TemporaryDirectory(prefix="pointsman-bench-") as folder:
            sections = _sections(count, {"a": a.base_url, "b": b.base_url})
            if alerts is not None:
                hook = {"type": "webhook", "url": url, "secrets": ["env.HOOK"]}
                sections["alerts"] = {"channels": {"hook": hook}, **alerts}
            async with serving(Path(folder), sections, **environ) as port:
                await asyncio.sleep(3.0)
                yield port, receiver
    server.close()


def _sections(count: int, urls: Mapping[str, str]) -> dict[str, Any]:
    price = {"input_usd_per_million": 10**6, "output_usd_per_million": 10**6, "max_output_tokens": 100}
    budget = {"limit_usd": BUDGET_USD, "per": "year", "soft": True}
    failing = {
        f"model-{number}": {"strategy": "priority", "targets": [f"b/bad-{number}", "a/sim"]} for number in range(count)
    }
    return {
        "providers": {
            name: {"type": "openai-compatible", "base_url": url, "keys": {"only": ""}} for name, url in urls.items()
        },
        "models": {"good": ["a/sim"], **failing},
        "egress": {"allow_private": ["127.0.0.0/8"]},
        "pricing": {"overrides": [{"model": "*", **price}]},
        "governance": {
            "virtual_keys": {
                f"key-{number}": {"value": f"env.KEY_{number}", "budgets": [budget]} for number in range(count)
            }
        },
    }


def _key(number: int) -> str:
    return f"pm-key-of-the-measurement-{number:06}"


if __name__ == "__main__":
    sys.exit(main())
