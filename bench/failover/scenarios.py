"""The sixteen scenarios as rows of data, and the providers and public names that they need."""

import re
from dataclasses import dataclass

from msgspec import structs

from pointsman.domain.snapshots import HealthLimits, Timeouts
from pointsman.simulate import Settings
from pointsman.simulate.settings import ScheduledFault

FALLBACK = "fallback"
PRIMARY_MODEL, FALLBACK_MODEL = "gpt-4o-mini", "gpt-4o"
TOKENS = 60
CANONICAL = "".join(f" {number}" for number in range(TOKENS))
PACE_MS = 5.0
OUTAGE_S, BACK_WITHIN_S = 60.0, 30.0
SLACK_S = 10.0


DEAD = ("dead1", "dead2", "dead3", "dead4")  # providers in front of a healthy one
BURST = 300  # simultaneous requests


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


def upstreams(scale: float) -> dict[str, Settings]:
    """Return the simulated providers by name: a primary for each scenario, the dead ones, and the fallback."""
    found = {}
    for one in (None, *SCENARIOS):
        name, schedule = FALLBACK, tuple[ScheduledFault, ...]()
        if one is not None:
            name = one.name.lower()
            if one.strikes is not None:
                schedule = (ScheduledFault(fault=scaled(one.fault, scale), to_request=one.strikes),)
        found[name] = Settings(
            name=name, output_tokens=float(TOKENS), text="numbered", token_gap_ms=PACE_MS, schedule=schedule
        )
    for name in DEAD:
        found[name] = Settings(name=name, schedule=(ScheduledFault(fault="status=503"),))
    return found


def public_names() -> dict[str, object]:
    """Return the gateway's public names: one per scenario, and one that only the fallback serves."""
    well = f"{FALLBACK}/{FALLBACK_MODEL}"
    names: dict[str, object] = {"well": [well], "burst": [*[f"{name}/{PRIMARY_MODEL}" for name in DEAD], well]}
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


def stated_routing(scale: float) -> dict[str, object]:
    """Return the routing settings that pass every scenario, with scaled times."""
    failover = {
        "retry_after_wait_s": 5 * scale,
        "same_target_retries": 1,
        "first_token_s": 10 * scale,
        "stream_recovery": "buffer",
    }
    return {**scaled_routing(scale), "failover": failover}


def limit_s(seconds: float, scale: float) -> float:
    """Return an upper limit. Only intended waits are scaled."""
    return seconds if scale == 1 else seconds * scale + SLACK_S


def scaled(fault: str, scale: float) -> str:
    """Scale the seconds of a fault, which stand in braces."""
    return re.sub(r"\{([0-9.]+)\}", lambda found: str(float(found[1]) * scale), fault)
