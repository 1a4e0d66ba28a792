"""`python -m bench.quota`: the 429s that a gateway causes at a provider whose limit is below the load.

A real gateway stands in front of three simulated providers. All requests prefer the first one, which serves 60 requests
a minute for each key, while eight streams arrive each second. The other two have no limit. The limiter is a bucket that
is full at first and refills steadily. It reports its state truthfully, or not at all, or it lies. The bill of the first
provider counts the requests that it rejected. In the last case there is no other provider, and four requests arrive
every five seconds, which is less than the limit: after a burst that empties the bucket, they wait for room.
"""

import argparse
import asyncio
import datetime as dt
import json
import os
import platform
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

import httpx
from bench.failover.gateways import pointsman

from pointsman.simulate import Settings, SimulatedProvider
from pointsman.simulate.settings import Lognormal, RateLimits

MODEL = "gpt-4o-mini"
RATE, RUN_S, LIMIT = 8.0, 90.0, 60
LONGEST_S = 60.0
NAMES = ("first", "second", "third")


class Case(NamedTuple):
    """The limits of the first provider, the number of providers, and the load: a burst, then a steady rate."""

    limits: RateLimits
    providers: int = 3
    rate: float = RATE
    burst: int = 0


CASES = {
    "truthful headers": Case(RateLimits(requests=LIMIT)),
    "truthful headers, tokens": Case(RateLimits(tokens=LIMIT * 20)),
    "no headers": Case(RateLimits(requests=LIMIT, headers="none", retry_after=False)),
    "no headers, Retry-After": Case(RateLimits(requests=LIMIT, headers="none")),
    "unknown limits (-1 of 0)": Case(RateLimits(requests=LIMIT, headers="unknown")),
    "lies: plenty left": Case(RateLimits(requests=LIMIT, headers="ample")),
    "lies: nothing left": Case(RateLimits(requests=LIMIT, headers="exhausted")),
    "one provider, truthful headers": Case(RateLimits(requests=LIMIT), providers=1, rate=0.8, burst=60),
}
BODY = {"model": "chat", "messages": [{"role": "user", "content": "Say something"}], "stream": True, "max_tokens": 3}


async def _ask(client: httpx.AsyncClient) -> tuple[int, float]:
    """Return the status and the time of a request in seconds; 0 if its stream was not whole."""
    began_at, last = monotonic(), ""
    try:
        async with asyncio.timeout(LONGEST_S), client.stream("POST", "/chat/completions", json=BODY) as response:
            async for line in response.aiter_lines():
                last = line or last
            is_whole = response.status_code != 200 or last == "data: [DONE]"
            return response.status_code if is_whole else 0, monotonic() - began_at
    except (httpx.HTTPError, TimeoutError):
        return 0, monotonic() - began_at


async def measure(case: Case, run_s: float) -> dict[str, Any]:
    """Measure one case."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pointsman-quota-")))
        pace = Lognormal(median=200.0, sigma=0.3)
        providers = {
            name: await stack.enter_async_context(
                SimulatedProvider(
                    Settings(
                        name=name, first_token_ms=pace, output_tokens=3.0, seed=number,
                        limits=case.limits if not number else None,
                    )
                )
            )
            for number, name in enumerate(NAMES[: case.providers])
        }  # fmt: skip
        models = {"chat": {"strategy": "priority", "targets": [f"{name}/{MODEL}" for name in providers]}}
        base_url = await stack.enter_async_context(pointsman(folder, providers, models, {}))
        limits = httpx.Limits(max_connections=None)
        client = await stack.enter_async_context(httpx.AsyncClient(base_url=base_url, timeout=None, limits=limits))
        began_at = monotonic()
        tasks = [asyncio.ensure_future(_ask(client)) for _ in range(case.burst)]
        for number in range(int(run_s * case.rate)):
            await asyncio.sleep(max(0.0, began_at + number / case.rate - monotonic()))
            tasks.append(asyncio.ensure_future(_ask(client)))
        found, took_s = await asyncio.gather(*tasks), monotonic() - began_at
        return _result(found, providers["first"], case, took_s)


def _result(found: list[tuple[int, float]], first: SimulatedProvider, case: Case, took_s: float) -> dict[str, Any]:
    times = sorted(seconds for _, seconds in found)
    totals = first.bill.totals()
    row: dict[str, Any] = {
        "requests": len(found),
        "served": sum(status == 200 for status, _ in found),
        "rate_limited": totals.rate_limited,
        "rate_limited_percent": round(100 * totals.rate_limited / len(found), 2),
        "served_by_first": totals.complete,
        "p50_ms": round(1e3 * times[len(times) // 2]),
        "p99_ms": round(1e3 * times[int(len(times) * 0.99)]),
    }
    if case.limits.requests is not None and case.providers > 1:
        possible = case.limits.requests * (1 + took_s / case.limits.window_s)
        row["limit_used_percent"] = round(100 * totals.complete / possible, 1)
    return row


def main() -> int:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(prog="python -m bench.quota", description="429s at a provider with a limit.")
    parser.add_argument("--case", action="append", choices=CASES, help="by default all")
    parser.add_argument("--seconds", type=float, default=RUN_S)
    parser.add_argument("--source", type=Path, help="the `src` folder of another version of the gateway to measure")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    if given.source is not None:
        os.environ["PYTHONPATH"] = str(given.source.resolve())
    rows = {}
    for name in given.case or CASES:
        rows[name] = asyncio.run(measure(CASES[name], given.seconds))
        print(f"{name:32}", ", ".join(f"{key} {value}" for key, value in rows[name].items()), flush=True)
    if given.json is not None:
        made = {"date": dt.datetime.now(dt.UTC).date().isoformat(), "python": platform.python_version()}
        settings = {"requests_a_minute": LIMIT, "offered_a_second": RATE, "seconds": given.seconds}
        given.json.write_text(json.dumps({**made, **settings, "cases": rows}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
