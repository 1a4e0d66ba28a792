"""`python -m bench.hedging`: the time to the first content of streams, with and without a rival of slow attempts.

The first provider answers in 200 ms at the median, and 5 % of its answers take ten times as long. The second one
answers in 40 ms. Streams arrive at a steady rate. The gateway and its client share the machine with both providers, so
the times include their work.

A hedge after a delay is at best as quick as the delay and an answer of the second provider together. So the row with
two equal providers shows what hedging cannot do.
"""

import argparse
import asyncio
import datetime as dt
import json
import platform
import sys
import tempfile
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import httpx
from bench.failover.gateways import pointsman

from pointsman.simulate import Settings, SimulatedProvider
from pointsman.simulate.settings import Lognormal, ScheduledFault

MODEL = "gpt-4o-mini"
USUAL = Lognormal(median=200.0, sigma=0.15)
SLOW_S, SLOW_SHARE = 2.0, 0.05
RATE = 60.0  # requests per second
WARM_UP = 200  # requests that are not measured
BODY = {"model": "chat", "messages": [{"role": "user", "content": "Say something"}], "stream": True, "max_tokens": 3}


@dataclass(frozen=True)
class Row:
    """One setting. `fast_ms` is the time of the second provider to its first token; `None` means that of the first."""

    name: str
    duplicates: object
    fast_ms: float | None = 40.0


ROWS = (
    Row("none", "none"),
    Row("after 0.28 s", {"hedge": {"after_s": 0.28, "share": 0.065}}),
    Row("after 93 % of answers", {"hedge": {"after_percentile": 93, "share": 0.07}}),
    Row("after 0.28 s, equal providers", {"hedge": {"after_s": 0.28, "share": 0.065}}, None),
)


def _providers(fast_ms: float | None) -> dict[str, Settings]:
    slow = ScheduledFault(fault=f"slow_start={SLOW_S}", probability=SLOW_SHARE)
    second = USUAL if fast_ms is None else fast_ms
    return {
        "first": Settings(name="first", first_token_ms=USUAL, output_tokens=3.0, schedule=(slow,), seed=1),
        "second": Settings(name="second", first_token_ms=second, output_tokens=3.0, seed=2),
    }


async def _ask(client: httpx.AsyncClient) -> tuple[float, float, str]:
    """Return the time to the first content, its moment, and the id of the request."""
    began_at = monotonic()
    async with client.stream("POST", "/chat/completions", json=BODY) as response:
        if response.status_code != 200:
            raise RuntimeError((await response.aread()).decode())
        content_at = 0.0
        async for line in response.aiter_lines():
            if not content_at and '"content"' in line:
                content_at = monotonic()
        return content_at - began_at, content_at, response.headers["x-pointsman-request-id"]


async def measure(row: Row, count: int) -> dict[str, Any]:
    """Measure one row with this number of requests."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pointsman-hedging-")))
        providers = {
            name: await stack.enter_async_context(SimulatedProvider(one))
            for name, one in _providers(row.fast_ms).items()
        }
        models = {"chat": [f"first/{MODEL}", f"second/{MODEL}"]}
        base_url = await stack.enter_async_context(pointsman(folder, providers, models, {"duplicates": row.duplicates}))
        limits = httpx.Limits(max_connections=None)
        client = await stack.enter_async_context(httpx.AsyncClient(base_url=base_url, timeout=60, limits=limits))
        began_at, tasks = monotonic(), []
        for number in range(count + WARM_UP):
            await asyncio.sleep(max(0.0, began_at + number / RATE - monotonic()))
            tasks.append(asyncio.ensure_future(_ask(client)))
        answers = (await asyncio.gather(*tasks))[WARM_UP:]
        await asyncio.sleep(0.5)  # the log is written ten times a second
        lines = (folder / "requests.log").read_text().splitlines()
        records = {one["request_id"]: one for one in map(json.loads, lines)}
        return _result(row, answers, providers, records)


def _result(
    row: Row,
    answers: list[tuple[float, float, str]],
    providers: Mapping[str, SimulatedProvider],
    records: Mapping[str, Any],
) -> dict[str, Any]:
    times, count = sorted(seconds for seconds, _, _ in answers), len(answers)
    found = [records[name] for _, _, name in answers]
    commits = {name: at for _, at, name in answers}
    late = []
    for entry in providers["first"].bill.entries:
        name = (entry.attempt_id or "").rpartition("-")[0]
        if entry.outcome == "cancelled" and entry.peer_closed_at is not None and name in commits:
            late.append(entry.peer_closed_at - commits[name])
    twice = [one for one in found if len(one["attempts"]) > 1]
    settled = [{attempt["outcome"] for attempt in one["attempts"]} == {"ok", "superseded"} for one in twice]
    p90, p99 = times[int(count * 0.90)], times[int(count * 0.99)]
    return {
        "name": row.name,
        "requests": count,
        "ttft_ms": {str(at): round(1e3 * times[int(count * at / 100)], 1) for at in (50, 90, 95, 99)},
        "p99_to_p90": round(p99 / p90, 3),
        "attempts": round(sum(len(one["attempts"]) for one in found) / count, 4),
        "hedged": len(twice),
        "both_settled": sum(settled),
        "cancelled_after_ms": round(1e3 * max(late), 1) if late else None,
    }


def main() -> int:
    """Measure, print and write. Return 1 if a hedged attempt was not settled or its rival not cancelled."""
    parser = argparse.ArgumentParser(prog="python -m bench.hedging", description="The effect of hedging.")
    parser.add_argument("--requests", type=int, default=3000)
    parser.add_argument("--json", type=Path, help="a file for the result")
    given = parser.parse_args()
    rows = [asyncio.run(measure(row, given.requests)) for row in ROWS]
    for row in rows:
        times = ", ".join(f"p{at} {ms:.0f}" for at, ms in row["ttft_ms"].items())
        settled = f"{row['both_settled']} of {row['hedged']} settled twice"
        print(f"{row['name']:30} {times} ms; p99/p90 {row['p99_to_p90']}; attempts {row['attempts']}; {settled}; "
              f"cancelled within {row['cancelled_after_ms']} ms")  # fmt: skip
    made = {"date": dt.datetime.now(dt.UTC).date().isoformat(), "python": platform.python_version(), "rows": rows}
    if given.json is not None:
        given.json.write_text(json.dumps(made, indent=1) + "\n")
    return 1 if any(row["hedged"] != row["both_settled"] for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
