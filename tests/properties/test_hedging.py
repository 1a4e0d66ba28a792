"""A request is sent twice only where nothing forbids it, in generated situations and by an independent definition."""

import json
import os
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import pytest
from msgspec import Raw, Struct
from msgspec.structs import replace

from fakes.routing import NOW, FakeView, ScriptedRandom, call, endpoint, failure, provider_key, snapshot
from pointsman.domain import failures
from pointsman.domain.calls import Call, Facts
from pointsman.domain.identity import ProviderEntry, VirtualKey
from pointsman.domain.limits import Limit, Metric, Period
from pointsman.domain.operations import OPERATIONS
from pointsman.domain.plans import Hedge, Plan, Progress, Try
from pointsman.domain.requirements import Requirement, Tag
from pointsman.domain.snapshots import Hedging, Snapshot
from pointsman.domain.targets import candidate
from pointsman.routing.decide import decide
from pointsman.routing.failover import next_step
from pointsman.routing.health import Condition, KeyBlock

MEASUREMENT = Path(__file__).parents[2] / "docs" / "measurements" / "hedging_rules.json"
UNIX = 1_764_000_000.0
AFTER_S = 1.0
REGIONS = ("eu", "us", "")
HARMLESS = b'[{"type":"function","function":{"name":"f"}}]'
ACTING = (
    b'[{"type":"web_search"}]',
    b'[{"type":"mcp","server_url":"https://x.test"}]',
    b'[{"type":"code_interpreter"}]',
)


class Beside(Struct):
    """An attempt in progress."""

    step: Try
    started_at: float
    has_content: bool = False


class Situation(Struct):
    """One generated situation, with the facts that the definition below reads."""

    view: FakeView
    request: Call
    key: VirtualKey | None
    regions: dict[str, str]
    required: bool
    acts: bool
    used: dict[str, tuple[int | None, Limit]]
    unhealthy: set[str]
    pressed: set[str]
    blocked: set[str]
    settings: Hedging
    saturated: bool = False


def generate(rng: Random) -> Situation:
    names = "abcd"[: rng.randint(2, 4)]
    regions = {name: rng.choice(REGIONS) for name in names}
    endpoints = [
        replace(endpoint(name, provider_key("k1")), tags={"region": (Tag(regions[name]),)} if regions[name] else {})
        for name in names
    ]
    settings = Hedging(after_s=AFTER_S, share=0.5)
    configuration = snapshot(endpoints, [candidate(item, "m") for item in endpoints])
    configuration = _with_hedging(configuration, settings)
    required = rng.random() < 0.4
    limits, used = _limits(rng)
    allowed = {name for name in names if rng.random() < 0.8} or {names[0]}
    entries = {name: ProviderEntry(name) for name in allowed} if rng.random() < 0.5 else {}
    key = None
    if entries or limits or required:
        require = (Requirement("region", ("eu",), False, "virtual key me"),) if required else ()
        key = VirtualKey(
            name="me", digest=b"", entries=entries, limits=limits, require=require, provider_tools=frozenset({"*"})
        )
    request, acts = _request(rng)
    view = FakeView(configuration)
    for counter, (amount, _) in used.items():
        view.amounts[counter] = amount
    unhealthy, pressed, blocked = ({name for name in names if rng.random() < 0.15} for _ in range(3))
    for name in unhealthy:
        subject = f"{name}/m" if request.operation == "chat" else f"{name}/m\t{request.operation}"
        view.conditions[subject] = Condition(rng.randint(1, 5), rng.randint(0, 2), NOW + rng.uniform(-50, 50))
    for name in pressed:
        limited = failure(failures.UPSTREAM_RATE_LIMITED)
        view.key_blocks[name, "other", "x"] = KeyBlock(until=NOW, failure=limited, since=NOW - rng.uniform(0, 8))
    for name in blocked:
        view.block(name, "k1", rng.choice((failures.UPSTREAM_RATE_LIMITED, failures.CREDENTIAL_REJECTED)), NOW + 60)
    view.hedges.count(settings, "chat", is_rival=False)
    if rng.random() < 0.1:
        view.hedges.count(settings, "chat", is_rival=True)
    return Situation(
        view=view, request=request, key=key, regions=regions, required=required, acts=acts, used=used,
        unhealthy=unhealthy, pressed=pressed, blocked=blocked, settings=settings,
    )  # fmt: skip


def _with_hedging(configuration: Snapshot, settings: Hedging) -> Snapshot:
    return replace(configuration, routing=replace(configuration.routing, hedging=settings))


def _limits(rng: Random) -> tuple[tuple[Limit, ...], dict[str, tuple[int | None, Limit]]]:
    limits: list[Limit] = []
    used: dict[str, tuple[int | None, Limit]] = {}
    metrics: tuple[Metric, ...] = ("usd", "tokens", "requests")
    for metric in metrics:
        if rng.random() < 0.3:
            one = Limit(
                level="virtual_key", owner="virtual_key:me", metric=metric, period=Period("day"), amount=1000,
                soft=rng.random() < 0.2,
            )  # fmt: skip
            limits.append(one)
            used[one.counter] = (None if rng.random() < 0.1 else rng.randint(0, 1000), one)
    return tuple(limits), used


def _request(rng: Random) -> tuple[Call, bool]:
    """Return a request, and whether sending it twice may act twice or break a bound of its own."""
    operation = rng.choice(OPERATIONS) if rng.random() < 0.3 else "chat"
    request = replace(call(operation=operation), stream=rng.random() < 0.5)
    acts = operation in ("image", "audio", "file", "batch", "other")
    if rng.random() < 0.2 and operation in ("chat", "responses"):
        tools = rng.choice((HARMLESS, *ACTING))
        request, acts = replace(request, fields={"tools": Raw(tools)}), acts or tools is not HARMLESS
    if rng.random() < 0.1:
        request, acts = replace(request, operation="responses", stateful=True, fields={"store": Raw(b"true")}), True
    return request, acts


def may_get_a_rival(one: Situation, provider: str) -> bool:
    """Define independently of the code whether a rival may be sent to a provider."""
    if one.acts or one.request.head.max_nano is not None:
        return False
    if one.required and one.regions[provider] != "eu":
        return False
    if one.key is not None and one.key.entries and provider not in one.key.entries:
        return False
    for used, limit in one.used.values():
        if not limit.soft and (used is None or used > 0.7 * limit.amount):
            return False
    return provider not in one.unhealthy | one.pressed | one.blocked


def check(one: Situation, counts: Counter[str]) -> None:
    plan = decide(Facts(one.request, one.key, UNIX), one.view, ScriptedRandom(0.5), NOW)
    if not isinstance(plan, Plan):
        counts["rejected"] += 1
        return
    first = next_step(plan, Progress(), one.view, NOW)
    if not isinstance(first, Try):
        return
    had_budget = one.view.hedges.may_start(one.settings, "chat")
    early = next_step(plan, Progress(running=(Beside(first, NOW),)), one.view, NOW + AFTER_S - 0.01)
    late = next_step(plan, Progress(running=(Beside(first, NOW),)), one.view, NOW + AFTER_S)
    beside_two = next_step(plan, Progress(running=(Beside(first, NOW),) * 2), one.view, NOW + AFTER_S)
    committed = Progress(running=(Beside(first, NOW, has_content=True),))
    after_commit = next_step(plan, committed, one.view, NOW + AFTER_S)
    for step in (early, beside_two, after_commit):
        counts["escapes"] += isinstance(step, Try)
    others = {choice.candidate.endpoint.name for choice in plan.choices} - {first.choice.candidate.endpoint.name}
    allowed = {name for name in others if may_get_a_rival(one, name)}
    if isinstance(late, Try):
        provider = late.choice.candidate.endpoint.name
        counts["hedges"] += 1
        counts["escapes"] += not isinstance(late, Hedge) or provider not in allowed or not had_budget
    elif allowed and had_budget:
        counts["missed"] += 1
    counts["forbidden"] += not allowed


def play(cases: int, seed: int) -> Counter[str]:
    rng, counts = Random(seed), Counter[str]()
    for _ in range(cases):
        check(generate(rng), counts)
    counts["cases"] = cases
    return counts


def checked(counts: Counter[str]) -> dict[str, Any]:
    found = {name: counts[name] for name in ("cases", "hedges", "forbidden", "rejected", "missed", "escapes")}
    assert found["escapes"] == 0, found
    assert found["missed"] == 0, found
    assert found["hedges"] > found["cases"] / 20, "the cases hardly test anything"
    assert found["forbidden"] > found["cases"] / 20, "the cases hardly test anything"
    return found


def test_rivals_start_only_where_nothing_forbids_them() -> None:
    checked(play(2_000, 1))


@pytest.mark.slow
def test_rivals_start_only_where_nothing_forbids_them_in_many_cases() -> None:
    found = checked(play(200_000, 2))
    if os.environ.get("POINTSMAN_MEASURE"):
        MEASUREMENT.write_text(json.dumps(found, indent=1) + "\n")
