"""`python -m bench.live_routing`: adaptive routing by the clock, through the real gateway and a real LiteLLM proxy.

Both stand in front of the same three simulated providers, whose times to the first token are lognormal. Streams
arrive at a steady rate. The fastest provider has a fault in the middle third of a run. LiteLLM has its latency-based
routing, and two retries; its other settings are its defaults. Clients do not retry. A request that fails counts as 30
s.
"""

import argparse
import asyncio
import datetime as dt
import json
import platform
import sys
import tempfile
from collections import deque
from contextlib import AsyncExitStack
from importlib.metadata import distributions
from pathlib import Path
from statistics import fmean
from time import monotonic
from typing import Any

import httpx
from bench.failover.gateways import LITELLM, litellm, litellm_entry, pointsman

from pointsman.simulate import Settings, SimulatedProvider
from pointsman.simulate.settings import Lognormal

MODEL = "gpt-4o-mini"
MEDIANS_MS = {"first": 150.0, "second": 200.0, "third": 300.0}
RATE, THIRD_S = 8.0, 15.0
FAILED_S, LONGEST_S = 30.0, 60.0
SLOWER_S = 0.45  # added to the usual time: four times as slow
BODY = {"model": "chat", "messages": [{"role": "user", "content": "Say something"}], "stream": True, "max_tokens": 3}
FAULTS = {
    "outage": "status=503",
    "black hole": "hang",
    "four times slower": f"slow_start={SLOWER_S}",
    "429 storm": "rate_limit=1",
}


async def _ask(client: httpx.AsyncClient) -> float:
    """Return the time to the first content; that of a failure if none came."""
    began_at = monotonic()
    try:
        async with asyncio.timeout(LONGEST_S), client.stream("POST", "/chat/completions", json=BODY) as response:
            content_at = 0.0
            is_complete = False
            async for line in response.aiter_lines():
                if (
                    not content_at
                    and '"content":"' in line.replace(" ", "")
                    and '"content":""' not in line.replace(" ", "")
                ):
                    content_at = monotonic()
                is_complete = is_complete or line == "data: [DONE]"
            if response.status_code == 200 and is_complete and content_at:
                return content_at - began_at
    except (httpx.HTTPError, TimeoutError):
        pass
    return FAILED_S


async def measure(gateway: str, fault: str, environment: Path) -> dict[str, Any]:
    """Measure one gateway with one fault."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pointsman-live-")))
        providers = {
            name: await stack.enter_async_context(
                SimulatedProvider(
                    Settings(name=name, first_token_ms=Lognormal(median=ms, sigma=0.3), output_tokens=3.0, seed=number)
                )
            )
            for number, (name, ms) in enumerate(MEDIANS_MS.items())
        }
        if gateway == LITELLM:
            settings = {
                "model_list": [litellm_entry("chat", MODEL, one) for one in providers.values()],
                "router_settings": {"routing_strategy": "latency-based-routing", "num_retries": 2},
            }
            running = litellm(folder, environment, settings)
        else:
            targets = [f"{name}/{MODEL}" for name in providers]
            strategy = {"adaptive": {"policy": "latency"}}
            running = pointsman(folder, providers, {"chat": {"strategy": strategy, "targets": targets}}, {})
        base_url = await stack.enter_async_context(running)
        limits = httpx.Limits(max_connections=None)
        client = await stack.enter_async_context(httpx.AsyncClient(base_url=base_url, timeout=None, limits=limits))
        await asyncio.gather(*(_ask(client) for _ in range(10)))
        loop, began_at, tasks = asyncio.get_running_loop(), monotonic(), []
        first = providers["first"]
        loop.call_later(THIRD_S, first.set_fault, fault)
        loop.call_later(2 * THIRD_S, first.set_fault, None)
        for number in range(int(3 * THIRD_S * RATE)):
            await asyncio.sleep(max(0.0, began_at + number / RATE - monotonic()))
            tasks.append(asyncio.ensure_future(_ask(client)))
        times = list(await asyncio.gather(*tasks))
        first.set_fault(None)
        entries = [
            one for provider in providers.values() for one in provider.bill.entries if one.received_at >= began_at
        ]
        attempts = sorted((one.received_at - began_at, one in first.bill.entries) for one in entries)
        return _result(times, attempts)


def _result(times: list[float], attempts: list[tuple[float, bool]]) -> dict[str, Any]:
    count, ordered = len(times), sorted(times)
    during = sorted(times[count // 3 : 2 * count // 3])
    return {
        "requests": count,
        "failed": sum(one >= FAILED_S for one in times),
        "mean_ms": round(1e3 * fmean(times), 1),
        "p50_ms": round(1e3 * ordered[count // 2], 1),
        "p99_ms": round(1e3 * ordered[int(count * 0.99)], 1),
        "mean_during_fault_ms": round(1e3 * fmean(during), 1),
        "attempts": round(len(attempts) / count, 3),
        "divert_s": _moved(attempts, THIRD_S, is_left=True),
        "return_s": _moved(attempts, 2 * THIRD_S, is_left=False),
    }


def _moved(attempts: list[tuple[float, bool]], since: float, *, is_left: bool) -> float | None:
    """Return the seconds until the share of the first provider among ten attempts is at most a quarter, or at least
    half again; `None` if it never was."""
    latest: deque[bool] = deque(maxlen=10)
    for at, is_first in attempts:
        if at >= since:
            latest.append(is_first)
            part = sum(latest) / len(latest)
            if len(latest) >= 4 and (part <= 0.25 if is_left else part >= 0.5):
                return round(at - since, 1)
    return None


def main() -> int:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(prog="python -m bench.live_routing", description="Adaptive routing by the clock.")
    parser.add_argument("environment", type=Path, help="a virtual environment with litellm[proxy]")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    packages = distributions(path=[str(next((given.environment / "lib").glob("python*/site-packages")))])
    version = next(one.version for one in packages if one.name == LITELLM)
    rows: dict[str, dict[str, Any]] = {}
    for name, fault in FAULTS.items():
        print(f"\n{name}")
        rows[name] = {}
        for gateway in ("pointsman", LITELLM):
            rows[name][gateway] = row = asyncio.run(measure(gateway, fault, given.environment))
            print(f"  {gateway:10}", ", ".join(f"{key} {value}" for key, value in row.items()), flush=True)
    if given.json is not None:
        made = {
            "date": dt.datetime.now(dt.UTC).date().isoformat(),
            "python": platform.python_version(),
            LITELLM: version,
        }
        given.json.write_text(json.dumps({**made, "faults": rows}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
