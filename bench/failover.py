"""`python -m bench.failover`: sixteen provider failures, as clients see them through a gateway with its defaults.

The scenarios are those of a public benchmark of failover (Failover Bench, catalogue v0.1), rewritten as rows of data:
the fault of the primary provider, and the checks. Each scenario has its own primary and a healthy fallback. The client
never retries, so that only the gateway can recover.

    pass      the whole answer came (in S13: the provider's rejection), and every check holds
    partial   the answer came, but an advisory check failed
    safe      the answer did not come, but a clear error did, in time, and every required check holds
    fail      a required check failed: a hang, or a truncated answer that looks complete

With `--scale 0.1` all times, including those in the gateway's configuration, are a tenth. Limits then allow for a busy
machine, so that only an endless wait fails.
"""

import argparse
import asyncio
import datetime as dt
import json
import math
import platform
import re
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import monotonic

import httpx
from bench.processes import free_ports
from msgspec import structs

from pointsman.domain.snapshots import HealthLimits, Timeouts
from pointsman.simulate import Settings, SimulatedProvider
from pointsman.simulate.settings import ScheduledFault

FALLBACK = "fallback"
PRIMARY_MODEL, FALLBACK_MODEL = "gpt-4o-mini", "gpt-4o"
TOKENS = 60
CANONICAL = "".join(f" {number}" for number in range(TOKENS))
PACE_MS = 5.0
OUTAGE_S, BACK_WITHIN_S = 60.0, 30.0
SLACK_S = 10.0
START_S = 60.0  # time for the gateway to become ready
PROMPT = "Explain in sixty words when a gateway earns trust."
VERDICTS = ("pass", "partial", "safe", "fail")


@dataclass(frozen=True)
class Scenario:
    """One row. `fault` applies to all requests to the primary, or to the first ones (`strikes`), or to those of the
    first `for_s` seconds; its `{…}` are seconds. Only the checks that are set apply. Advisory checks begin with
    `likes_`."""

    name: str
    title: str
    fault: str
    limit_s: float
    strikes: int | None = None
    for_s: float | None = None
    wants_error: bool = False
    most_attempts: int | None = None
    exact_attempts: int | None = None
    most_early: tuple[float, int] | None = None  # attempts at the primary within this many seconds of the first
    names_fallback: bool = False
    stays_well: bool = False
    within_s: float | None = None
    likes_attempts: int | None = None
    likes_gap_s: float | None = None
    likes_most_attempts: int | None = None
    likes_within_s: float | None = None
    likes_usage: bool = False
    likes_whole: bool = False
    requests: int = 1
    every_s: float = 0.0


SCENARIOS = (
    Scenario("S01", "429 with Retry-After, once", "rate_limit={2}", 20, strikes=1, most_early=(1.5, 2),
             likes_attempts=2, likes_gap_s=1.8),
    Scenario("S02", "429 without Retry-After, for ever", "status=429", 40, most_early=(3, 4), most_attempts=6),
    Scenario("S03", "500 once, then healthy", "status=500", 20, strikes=1, likes_attempts=2),
    Scenario("S04", "503 for ever", "status=503", 40, most_attempts=6),
    Scenario("S05", "connection reset before the head, once", "reset", 20, strikes=1),
    Scenario("S06", "no response at all", "hang", 130, within_s=100, likes_most_attempts=1),
    Scenario("S07", "slow first token", "slow_start={20}", 60, likes_within_s=15),
    Scenario("S08", "stream cut in the middle", "die_mid_stream=40", 40),
    Scenario("S09", "stream stalls, then closes", "die_mid_stream=20,linger={30}", 70, within_s=45, stays_well=True),
    Scenario("S10", "an event that is not JSON", "malformed_sse=9", 30, stays_well=True, likes_whole=True),
    Scenario("S11", "stream without [DONE]", "missing_done", 30, within_s=8, likes_usage=True),
    Scenario("S12", "prompt too long", "context_length", 20, exact_attempts=1),
    Scenario("S13", "content filtered", "content_filter", 20, wants_error=True, exact_attempts=1),
    Scenario("S14", "stream cut, fallback takes no prefill", "die_mid_stream=40", 40),
    Scenario("S15", "down for a while, then healthy", "status=503", 200, for_s=OUTAGE_S, requests=20, every_s=4),
    Scenario("S16", "fail-over accounting", "status=503", 40, most_attempts=6, names_fallback=True, likes_usage=True),
)  # fmt: skip


@dataclass
class Outcome:
    """The client's view of one request. Times are monotonic seconds."""

    began_at: float
    ended_at: float = 0.0
    status: int | None = None
    text: str = ""
    model: str = ""
    has_usage: bool = False
    is_success: bool = False  # it ended like a complete answer
    is_hung: bool = False
    error: str = ""
    provider: str = ""

    @property
    def took_s(self) -> float:
        return self.ended_at - self.began_at


@dataclass
class Result:
    """A scenario's verdict. `broken` lists the failed checks, required and advisory."""

    name: str
    title: str
    verdict: str
    took_s: float
    attempts: list[float]  # at the primary, in seconds after the first request
    broken: list[str] = field(default_factory=list)
    advice: list[str] = field(default_factory=list)
    said: str = ""


def upstreams(scale: float) -> dict[str, Settings]:
    """Return the simulated providers by name: a primary for each scenario, and the fallback."""
    found = {}
    for one in (None, *SCENARIOS):
        name, schedule = FALLBACK, tuple[ScheduledFault, ...]()
        if one is not None:
            name = one.name.lower()
            if one.strikes is not None:
                schedule = (ScheduledFault(fault=_scaled(one.fault, scale), to_request=one.strikes),)
        found[name] = Settings(
            name=name, output_tokens=float(TOKENS), text="numbered", token_gap_ms=PACE_MS, schedule=schedule
        )
    return found


def public_names() -> dict[str, object]:
    """Return the gateway's public names: one per scenario, and one that only the fallback serves."""
    well = f"{FALLBACK}/{FALLBACK_MODEL}"
    names: dict[str, object] = {"well": [well]}
    for one in SCENARIOS:
        target = f"{one.name.lower()}/{PRIMARY_MODEL}"
        names[one.name] = {"strategy": "priority", "targets": [target], "fallbacks": [well]}
    return names


def scaled_routing(scale: float) -> dict[str, object]:
    """Return the gateway's default times, scaled; nothing if the scale is 1."""
    if scale == 1:
        return {}
    times, health = Timeouts(), HealthLimits()
    waits = {"connect_s", "response_s"}  # a busy machine does not get faster
    return {
        "timeouts": {name: value * scale for name, value in structs.asdict(times).items() if name not in waits},
        "health": {
            "max_block_s": health.max_block_s * scale,
            "max_block_hanging_s": health.max_block_hanging_s * scale,
        },
    }


async def play(
    base_url: str,
    providers: Mapping[str, SimulatedProvider],
    scale: float,
    scenarios: Sequence[Scenario] = SCENARIOS,
) -> list[Result]:
    """Play all scenarios at once, against a gateway in front of these providers."""
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=base_url, timeout=None, limits=limits) as client:
        return await asyncio.gather(*(_play_one(client, one, providers[one.name.lower()], scale) for one in scenarios))


async def _play_one(client: httpx.AsyncClient, one: Scenario, primary: SimulatedProvider, scale: float) -> Result:
    loop, began_at = asyncio.get_running_loop(), monotonic()
    if one.strikes is None:
        primary.set_fault(_scaled(one.fault, scale))
    if one.for_s is not None:
        loop.call_later(one.for_s * scale, primary.set_fault, None)
    asked = []
    for number in range(one.requests):
        await asyncio.sleep(max(0.0, began_at + number * one.every_s * scale - monotonic()))
        asked.append(loop.create_task(_ask(client, one.name, _limit_s(one.limit_s, scale))))
    outcomes = list(await asyncio.gather(*asked))
    after = await _ask(client, "well", one.limit_s) if one.stays_well else None
    primary.set_fault(None)
    attempts = [entry.received_at - began_at for entry in primary.bill.entries]
    return judge(one, outcomes, attempts, began_at, after, scale)


async def _ask(client: httpx.AsyncClient, model: str, limit_s: float) -> Outcome:
    """Read one stream to its end, as a client that does not retry."""
    outcome = Outcome(monotonic())
    body = {"model": model, "messages": [{"role": "user", "content": PROMPT}], "stream": True}
    try:
        async with asyncio.timeout(limit_s):
            await _read(client, body | {"stream_options": {"include_usage": True}}, outcome)
    except TimeoutError:
        outcome.is_hung = True
    except httpx.HTTPError as error:
        outcome.error = outcome.error or f"{type(error).__name__}: {error}"
    outcome.ended_at = monotonic()
    outcome.is_success = outcome.is_success and not outcome.error and not outcome.is_hung
    return outcome


async def _read(client: httpx.AsyncClient, body: dict[str, object], outcome: Outcome) -> None:
    async with client.stream("POST", "/chat/completions", json=body) as response:
        outcome.status = response.status_code
        outcome.provider = response.headers.get("x-pointsman-provider", "")
        if response.status_code != 200:
            outcome.error = (await response.aread()).decode()
            return
        async for line in response.aiter_lines():
            data = line.removeprefix("data: ")
            if data is line or data == "[DONE]":
                continue
            event = json.loads(data)
            if "error" in event:
                outcome.error = data
                continue
            outcome.model = event.get("model") or outcome.model
            outcome.has_usage = outcome.has_usage or event.get("usage") is not None
            for choice in event.get("choices", ()):
                outcome.text += choice["delta"].get("content") or ""
                outcome.is_success = outcome.is_success or choice.get("finish_reason") is not None


def judge(
    one: Scenario,
    outcomes: Sequence[Outcome],
    attempts: Sequence[float],
    began_at: float,
    after: Outcome | None,
    scale: float,
) -> Result:
    """Judge a scenario. `attempts` are those at the primary, in seconds after `began_at`."""
    first, count = outcomes[0], len(attempts)
    gap_s = attempts[1] - attempts[0] if count > 1 else -math.inf
    early = one.most_early or (0.0, 0)
    is_cut = any(outcome.is_success and outcome.text != CANONICAL for outcome in outcomes)
    required = {
        "it hangs": any(outcome.is_hung for outcome in outcomes),
        "a cut answer looks whole": is_cut,
        "too many attempts": one.most_attempts is not None and count > one.most_attempts,
        "not one attempt": one.exact_attempts is not None and count != one.exact_attempts,
        "too many attempts at once": bool(one.most_early)
        and sum(at <= attempts[0] + early[0] * scale for at in attempts) > early[1],
        "too late": one.within_s is not None and first.took_s > _limit_s(one.within_s, scale),
        "the model is not the fallback's": one.names_fallback and first.model != FALLBACK_MODEL,
        "not well afterwards": after is not None and not after.is_success,
    }
    advice = {
        "one attempt only": one.likes_attempts is not None and count < one.likes_attempts,
        "Retry-After was not waited for": one.likes_gap_s is not None and gap_s < one.likes_gap_s * scale,
        "asked again": one.likes_most_attempts is not None and count > one.likes_most_attempts,
        "late": one.likes_within_s is not None and first.took_s > one.likes_within_s * scale,
        "no usage": one.likes_usage and not first.has_usage,
        "not whole": one.likes_whole and first.text != CANONICAL,
    }
    if one.requests > 1:
        required |= _of_a_sequence(one, outcomes, began_at, scale)
    broken = [what for what, is_so in required.items() if is_so]
    missed = [what for what, is_so in advice.items() if is_so]
    is_rescued = all(outcome.is_success and outcome.text == CANONICAL for outcome in outcomes)
    is_ideal = bool(first.error) if one.wants_error else is_rescued
    verdict = "fail" if broken else "safe" if not is_ideal else "partial" if missed else "pass"
    took_s = max(outcome.ended_at for outcome in outcomes) - began_at
    times = [round(at, 3) for at in attempts]
    return Result(one.name, one.title, verdict, round(took_s, 3), times, broken, missed, first.error[:300])


def _of_a_sequence(one: Scenario, outcomes: Sequence[Outcome], began_at: float, scale: float) -> dict[str, bool]:
    """Check that requests were served throughout, and by the primary again soon after it recovered."""
    healthy_at = began_at + (one.for_s or 0.0) * scale
    back = [outcome.began_at for outcome in outcomes if outcome.provider == one.name.lower()]
    back_s = min((at for at in back if at >= healthy_at), default=math.inf) - healthy_at
    return {
        "not served": not all(outcome.is_success for outcome in outcomes),
        "not back in time": back_s > _limit_s(BACK_WITHIN_S, scale),
    }


def _limit_s(seconds: float, scale: float) -> float:
    """Return an upper limit. Only intended waits are scaled."""
    return seconds if scale == 1 else seconds * scale + SLACK_S


def _scaled(fault: str, scale: float) -> str:
    """Scale the seconds of a fault, which stand in braces."""
    return re.sub(r"\{([0-9.]+)\}", lambda found: str(float(found[1]) * scale), fault)


async def measure(scale: float) -> list[Result]:
    """Play the scenarios against a gateway of this environment, in separate processes."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pointsman-failover-")))
        settings = upstreams(scale)
        providers = {name: await stack.enter_async_context(SimulatedProvider(one)) for name, one in settings.items()}
        port, console = free_ports(2)
        endpoints = {
            name: {"type": "openai-compatible", "base_url": one.base_url, "keys": {"only": ""}}
            for name, one in providers.items()
        }
        file = folder / "pointsman.yaml"
        routing = scaled_routing(scale)
        sections: dict[str, object] = {
            "version": 1,
            "server": {"listen": f"127.0.0.1:{port}"},
            "console": {"listen": f"127.0.0.1:{console}"},
            "logging": {"file": "requests.log"},
            "providers": endpoints,
            "models": public_names(),
            "governance": {"require_key": False},
        }
        file.write_text(json.dumps(sections | ({"routing": routing} if routing else {})))
        program = str(Path(sys.executable).with_name("pointsman"))
        process = await asyncio.create_subprocess_exec(program, "serve", "--config", str(file), cwd=folder)
        try:
            base_url = f"http://127.0.0.1:{port}"
            await _until_ready(base_url)
            return await play(f"{base_url}/v1", providers, scale)
        finally:
            process.terminate()
            await process.wait()


async def _until_ready(base_url: str) -> None:
    async with httpx.AsyncClient() as client, asyncio.timeout(START_S):
        while True:
            try:
                if (await client.get(f"{base_url}/readyz")).status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            await asyncio.sleep(0.1)


def main() -> int:
    """Play, print, and write the requested file. Return the exit code, which is 1 if a scenario failed."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.failover", description="Provider failures as clients see them."
    )
    parser.add_argument("--scale", type=float, default=1.0, help="the scale of all times: 0.1 is ten times faster")
    parser.add_argument("--json", type=Path, help="a file for all observations")
    given = parser.parse_args()
    results = asyncio.run(measure(given.scale))
    for result in results:
        notes = "; ".join([*result.broken, *result.advice])
        print(f"{result.name}  {result.verdict:8} {result.took_s:7.2f} s  {len(result.attempts)} at the primary  "
              f"{result.title}{f' ({notes})' if notes else ''}")  # fmt: skip
    counts = {verdict: sum(result.verdict == verdict for result in results) for verdict in VERDICTS}
    print(", ".join(f"{count} {verdict}" for verdict, count in counts.items()))
    if given.json is not None:
        made = {
            "date": dt.datetime.now(dt.UTC).date().isoformat(),
            "python": platform.python_version(),
            "scale": given.scale,
        }
        rows = [asdict(result) for result in results]
        given.json.write_text(json.dumps({**made, "counts": counts, "scenarios": rows}, indent=1) + "\n")
    return 1 if counts["fail"] else 0


if __name__ == "__main__":
    sys.exit(main())
