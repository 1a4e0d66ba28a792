"""Adaptive routing by the clock, through the real gateway and a real LiteLLM proxy.

    python -m bench.live_routing VENV --json docs/measurements/live_routing.json    # VENV has litellm[proxy]

Each gateway has three simulated providers of its own, with the same seeds: lognormal times to the first token, and
prices that differ. Streams arrive at a steady rate, and the fastest provider has one fault after another, with half a
minute between them. The gateways of a pair are measured at the same time, and take turns with those of the next one, so
that all have the same machine. Clients do not retry. A request that fails counts as 30 s.

LiteLLM is measured with its defaults, and with its latency-based routing as its documentation sets it up: a window of
ten seconds, three retries, and a timeout of 30 s. https://docs.litellm.ai/docs/routing
"""

import argparse
import asyncio
import datetime as dt
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from importlib.metadata import distributions
from pathlib import Path
from statistics import fmean
from time import monotonic
from typing import Any

import httpx
import uvloop
from bench.failover.gateways import LITELLM, litellm, litellm_entry, pointsman
from msgspec import Struct

from pointsman.simulate import Settings, SimulatedProvider
from pointsman.simulate.settings import Lognormal, Price, RateLimits, ScheduledFault

MODEL = "gpt-4o-mini"
MEDIANS_MS = {"first": 150.0, "second": 200.0, "third": 300.0}
SIGMA = 0.3
PRICES = {
    "first": Price(input_pico=300_000, output_pico=1_200_000, cached_pico=300_000),
    "second": Price(input_pico=150_000, output_pico=600_000, cached_pico=150_000),
    "third": Price(input_pico=100_000, output_pico=400_000, cached_pico=100_000),
}
RATE = 8.0  # requests per second
BEFORE_S, FAULT_S, AFTER_S = 12.0, 15.0, 20.0
AT_ONCE = 2  # gateways; more would be limited by a machine of two cores
FLAP_S, FLAPS = 10.0, 2
FAILED_S, LONGEST_S = 30.0, 60.0
SLOWER_S = 0.45  # added to the usual time: four times as slow
STORM = RateLimits(requests=20, window_s=10.0)  # a quarter of the rate
SHARE = 0.5  # of the fastest provider before the fault; a gateway that used it less cannot leave it
PROMPT = "Say something about the weather, and be brief. " * 30
BODY = {"model": "chat", "messages": [{"role": "user", "content": PROMPT}], "stream": True, "max_tokens": 3}

ADAPTIVE = {"adaptive": {"policy": "latency"}}
LATENCY_BASED = {
    "routing_strategy": "latency-based-routing",
    "routing_strategy_args": {"ttl": 10},
    "num_retries": 3,
    "timeout": 30,
}
GATEWAYS: Mapping[str, Mapping[str, Any]] = {
    "pointsman": {"strategy": ADAPTIVE, "routing": {"duplicates": "none"}},
    "litellm, latency-based": {"router_settings": LATENCY_BASED},
    "pointsman, race": {"strategy": ADAPTIVE, "routing": {"duplicates": "race"}},
    "litellm, defaults": {"router_settings": {}},
}


class Fault(Struct, frozen=True):
    """A fault of a provider: its start and its end. It lasts `FAULT_S` seconds, or comes and goes if it `flaps`."""

    begin: Callable[[SimulatedProvider], None]
    end: Callable[[SimulatedProvider], None]
    flaps: bool = False

    @property
    def lasts_s(self) -> float:
        """The time from its first start to its last end."""
        return FLAP_S * (2 * FLAPS - 1) if self.flaps else FAULT_S

    async def play(self, provider: SimulatedProvider) -> None:
        """Let it begin now, and end in time."""
        for number in range(FLAPS if self.flaps else 1):
            if number:
                await asyncio.sleep(FLAP_S)
            self.begin(provider)
            await asyncio.sleep(FLAP_S if self.flaps else FAULT_S)
            self.end(provider)


def _fault(text: str, *, flaps: bool = False) -> Fault:
    return Fault(lambda provider: provider.set_fault(text), lambda provider: provider.set_fault(None), flaps)


FAULTS = {
    "outage": _fault("status=503"),
    "black hole": _fault("hang"),
    "four times slower": _fault(f"slow_start={SLOWER_S}"),
    "brown-out of 30 %": Fault(
        lambda provider: provider.set_schedule((ScheduledFault(fault="status=500", probability=0.3),)),
        lambda provider: provider.set_schedule(()),
    ),
    "429 storm": Fault(
        lambda provider: provider.limiter.change(STORM),
        lambda provider: provider.limiter.change(None),
    ),
    "flapping": _fault("status=503", flaps=True),
}


async def _ask(client: httpx.AsyncClient) -> float:
    """Return the time to the first content; that of a failure if the answer is not whole."""
    began_at = monotonic()
    try:
        async with asyncio.timeout(LONGEST_S), client.stream("POST", "/chat/completions", json=BODY) as response:
            content_at = 0.0
            is_complete = False
            async for line in response.aiter_lines():
                text = line.replace(" ", "")
                if not content_at and '"content":"' in text and '"content":""' not in text:
                    content_at = monotonic()
                is_complete = is_complete or line == "data: [DONE]"
            if response.status_code == 200 and is_complete and content_at:
                return content_at - began_at
    except (httpx.HTTPError, TimeoutError):
        pass
    return FAILED_S


class Side:
    """A gateway with its providers and its client."""

    def __init__(self, name: str, environment: Path) -> None:
        self.name = name
        self._settings, self._environment = GATEWAYS[name], environment
        self.providers: dict[str, SimulatedProvider] = {}
        self._client = httpx.AsyncClient()
        self._began_at = 0.0

    async def start(self, stack: AsyncExitStack) -> None:
        """Start the providers and the gateway, and send some first requests."""
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pointsman-live-")))
        for number, (name, ms) in enumerate(MEDIANS_MS.items()):
            settings = Settings(
                name=name,
                first_token_ms=Lognormal(median=ms, sigma=SIGMA),
                output_tokens=3.0,
                seed=number,
                price=PRICES[name],
            )
            self.providers[name] = await stack.enter_async_context(SimulatedProvider(settings))
        base_url = await stack.enter_async_context(self._running(folder))
        limits = httpx.Limits(max_connections=None)
        self._client = await stack.enter_async_context(
            httpx.AsyncClient(base_url=base_url, timeout=None, limits=limits)
        )
        await asyncio.gather(*(_ask(self._client) for _ in range(10)))

    def _running(self, folder: Path) -> AbstractAsyncContextManager[str]:
        if self.name.startswith(LITELLM):
            entries = [litellm_entry("chat", MODEL, one) for one in self.providers.values()]
            return litellm(folder, self._environment, {"model_list": entries, **self._settings})
        targets = [f"{name}/{MODEL}" for name in self.providers]
        models = {"chat": {"strategy": self._settings["strategy"], "targets": targets}}
        return pointsman(folder, self.providers, models, self._settings["routing"])

    async def measure(self, fault: Fault) -> dict[str, Any]:
        """Send requests before, during and after a fault of the first provider. Return the figures."""
        self._began_at, tasks = monotonic(), []
        playing = asyncio.ensure_future(self._play(fault))
        for number in range(int((BEFORE_S + fault.lasts_s + AFTER_S) * RATE)):
            await asyncio.sleep(max(0.0, self._began_at + number / RATE - monotonic()))
            tasks.append(asyncio.ensure_future(_ask(self._client)))
        times = list(await asyncio.gather(*tasks))
        await playing
        return self._result(times, fault)

    async def _play(self, fault: Fault) -> None:
        await asyncio.sleep(BEFORE_S)
        await fault.play(self.providers["first"])

    def _result(self, times: list[float], fault: Fault) -> dict[str, Any]:
        count, ordered = len(times), sorted(times)
        during = times[int(BEFORE_S * RATE) : int((BEFORE_S + fault.lasts_s) * RATE)]
        entries = [
            (entry, name)
            for name, provider in self.providers.items()
            for entry in provider.bill.entries
            if entry.received_at >= self._began_at
        ]
        attempts = sorted((entry.received_at - self._began_at, name == "first") for entry, name in entries)
        before = [is_first for at, is_first in attempts if BEFORE_S / 2 <= at < BEFORE_S]
        share = sum(before) / max(len(before), 1)
        is_used, ended_s = share >= SHARE, BEFORE_S + fault.lasts_s
        return {
            "requests": count,
            "success": round(1 - sum(one >= FAILED_S for one in times) / count, 4),
            "mean_ms": round(1e3 * fmean(times), 1),
            "p50_ms": round(1e3 * ordered[count // 2], 1),
            "p95_ms": round(1e3 * ordered[int(count * 0.95)], 1),
            "p99_ms": round(1e3 * ordered[int(count * 0.99)], 1),
            "mean_during_fault_ms": round(1e3 * fmean(during), 1),
            "share_before": round(share, 2),
            "divert_s": _moved(attempts, BEFORE_S, is_left=True) if is_used else None,
            "return_s": _moved(attempts, ended_s, is_left=False) if is_used else None,
            "attempts": round(len(entries) / count, 3),
            "rate_limited": round(sum(entry.status == 429 for entry, _ in entries) / count, 4),
            "usd_per_1000": round(sum(entry.charged_nano for entry, _ in entries) / count / 1e6, 5),
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


async def measure(names: list[str], faults: list[str], environment: Path) -> dict[str, dict[str, dict[str, Any]]]:
    """Measure these gateways with these faults, two gateways at a time. Return the figures by fault and gateway."""
    async with AsyncExitStack() as stack:
        sides = [Side(name, environment) for name in names]
        for side in sides:
            await side.start(stack)
        found: dict[str, dict[str, dict[str, Any]]] = {}
        for fault in faults:
            print(f"\n{fault}")
            found[fault] = {}
            for first in range(0, len(sides), AT_ONCE):
                pair = sides[first : first + AT_ONCE]
                rows = await asyncio.gather(*(side.measure(FAULTS[fault]) for side in pair))
                for side, row in zip(pair, rows, strict=True):
                    found[fault][side.name] = row
                    print(f"  {side.name:24}", ", ".join(f"{key} {value}" for key, value in row.items()), flush=True)
        return found


def _described(names: list[str], environment: Path) -> dict[str, Any]:
    """Describe versions, machine and settings."""
    packages = distributions(path=[str(next((environment / "lib").glob("python*/site-packages")))])
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return {
        "date": dt.datetime.now(dt.UTC).isoformat(timespec="minutes"),
        "python": platform.python_version(),
        "pointsman": commit.stdout.strip() or "unknown",
        LITELLM: next(one.version for one in packages if one.name == LITELLM),
        "cores": os.cpu_count(),
        "load_average": round(os.getloadavg()[0], 2),
        "requests_per_s": RATE,
        "medians_ms": MEDIANS_MS,
        "settings": {name: dict(GATEWAYS[name]) for name in names},
    }


def main() -> int:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(prog="python -m bench.live_routing", description="Adaptive routing by the clock.")
    parser.add_argument("environment", type=Path, help="a virtual environment with litellm[proxy]")
    parser.add_argument("--gateways", choices=GATEWAYS, nargs="+", default=list(GATEWAYS))
    parser.add_argument("--faults", choices=FAULTS, nargs="+", default=list(FAULTS))
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    described = _described(given.gateways, given.environment)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        rows = runner.run(measure(given.gateways, given.faults, given.environment))
    if given.json is not None:
        given.json.write_text(json.dumps({**described, "faults": rows}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
