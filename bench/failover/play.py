"""Plays the scenarios as a client that never retries, and judges them."""

import asyncio
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic

import httpx
from bench.failover.scenarios import (
    BACK_WITHIN_S,
    BURST,
    CANONICAL,
    DEAD,
    FALLBACK_MODEL,
    SCENARIOS,
    Scenario,
    limit_s,
    scaled,
)

from pointsman.simulate import SimulatedProvider

PROMPT = "Explain in sixty words when a gateway earns trust."
BURST_S = 120.0
VERDICTS = ("pass", "partial", "safe", "fail")


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


async def play_burst(base_url: str, providers: Mapping[str, SimulatedProvider]) -> Result:
    """Send simultaneous requests for a name whose providers are all dead but the last. All must be served."""
    limits = httpx.Limits(max_connections=None)
    began_at = monotonic()
    async with httpx.AsyncClient(base_url=base_url, timeout=None, limits=limits) as client:
        outcomes = await asyncio.gather(*(_ask(client, "burst", BURST_S) for _ in range(BURST)))
    served = sum(outcome.is_success and outcome.text == CANONICAL for outcome in outcomes)
    attempts = sum(len(providers[name].bill.entries) for name in DEAD)
    broken = [f"{len(outcomes) - served} not served"] if served < len(outcomes) else []
    said = next((outcome.error for outcome in outcomes if outcome.error), "")
    return Result(
        "burst",
        f"{len(DEAD)} of {len(DEAD) + 1} providers dead, {BURST} requests at once",
        "fail" if broken else "pass",
        round(max(outcome.ended_at for outcome in outcomes) - began_at, 3),
        [float(attempts)],
        broken,
        said=said[:300],
    )


async def _play_one(client: httpx.AsyncClient, one: Scenario, primary: SimulatedProvider, scale: float) -> Result:
    loop, began_at = asyncio.get_running_loop(), monotonic()
    if one.strikes is None:
        primary.set_fault(scaled(one.fault, scale))
    if one.for_s is not None:
        loop.call_later(one.for_s * scale, primary.set_fault, None)
    requests = []
    for number in range(one.requests):
        await asyncio.sleep(max(0.0, began_at + number * one.every_s * scale - monotonic()))
        requests.append(loop.create_task(_ask(client, one.name, limit_s(one.limit_s, scale))))
    outcomes = list(await asyncio.gather(*requests))
    after = await _ask(client, "well", one.limit_s) if one.stays_well else None
    primary.set_fault(None)
    attempts = [entry.received_at - began_at for entry in primary.bill.entries]
    return judge(one, outcomes, attempts, began_at, after, scale)


async def _ask(client: httpx.AsyncClient, model: str, most_s: float) -> Outcome:
    """Read one stream to its end, as a client that does not retry."""
    outcome = Outcome(monotonic())
    body = {"model": model, "messages": [{"role": "user", "content": PROMPT}], "stream": True}
    try:
        async with asyncio.timeout(most_s):
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
        "too late": one.within_s is not None and first.took_s > limit_s(one.within_s, scale),
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
        "not back in time": back_s > limit_s(BACK_WITHIN_S, scale),
    }
