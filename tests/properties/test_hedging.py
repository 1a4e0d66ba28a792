"""A request is sent twice only where nothing forbids it, in generated situations and by an independent definition. This
holds for hedges and for races."""

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
from pointsman.domain.plans import Hedge, Plan, Progress, Race, Try
from pointsman.domain.requirements import Requirement, Tag
from pointsman.domain.snapshots import Hedging, Racing, Snapshot
from pointsman.domain.targets import Candidate, Strategy, candidate
from pointsman.routing.decide import decide
from pointsman.routing.failover import next_step
from pointsman.routing.health import Condition, KeyBlock
from pointsman.routing.paces import Tried, usual_s
from pointsman.routing.strategies.adaptive import AdaptiveSettings

MEASUREMENT = Path(__file__).parents[2] / "docs" / "measurements" / "hedging_rules.json"
UNIX = 1_764_000_000.0
AFTER_S = 1.0
REGIONS = ("eu", "us", "")
RACING = Racing(share=0.5)
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
    recovering: set[str]


def generate(rng: Random) -> Situation:
    names = "abcd"[: rng.randint(2, 4)]
    regions = {name: rng.choice(REGIONS) for name in names}
    endpoints = [
        replace(endpoint(name, provider_key("k1")), tags={"region": (Tag(regions[name]),)} if regions[name] else {})
        for name in names
    ]
    settings = Hedging(after_s=AFTER_S, share=0.5)
    configuration = snapshot(endpoints, [candidate(item, "m") for item in endpoints])
    configuration = _with_duplicates(configuration, settings)
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
    recovering = set()
    for name in unhealthy:
        subject = f"{name}/m" if request.operation == "chat" else f"{name}/m\t{request.operation}"
        failed_s_ago = rng.uniform(0, 8)
        found = view.conditions[subject] = Condition(
            rng.randint(1, 5),
            rng.randint(0, 2),
            blocked_until=NOW + rng.uniform(-50, 50),
            failed_at=NOW - failed_s_ago,
        )
        if not found.is_blocked(NOW) or failed_s_ago >= 4.0:
            recovering.add(name)
    for name in pressed:
        limited = failure(failures.UPSTREAM_RATE_LIMITED)
        view.key_blocks[name, "other", "x"] = KeyBlock(until=NOW, failure=limited, since=NOW - rng.uniform(0, 8))
    for name in blocked:
        view.block(name, "k1", rng.choice((failures.UPSTREAM_RATE_LIMITED, failures.CREDENTIAL_REJECTED)), NOW + 60)
    view.hedges.count(settings, "chat", is_rival=False)
    if rng.random() < 0.1:
        view.hedges.count(settings, "chat", is_rival=True)
    view.hedges.count(RACING, "chat", is_rival=False)
    if rng.random() < 0.1:
        view.hedges.count(RACING, "chat", is_rival=True)
    suspected = rng.choice(names)
    for name in names:
        _teach(view, candidate(configuration.endpoints[name], "m"), request, is_suspected=name == suspected)
    return Situation(
        view=view, request=request, key=key, regions=regions, required=required, acts=acts, used=used,
        unhealthy=unhealthy, pressed=pressed, blocked=blocked, settings=settings,
        recovering=recovering,
    )  # fmt: skip


def _with_duplicates(configuration: Snapshot, settings: Hedging) -> Snapshot:
    strategy = Strategy("adaptive", AdaptiveSettings(policy="latency"))
    routing = replace(configuration.routing, hedging=settings, racing=RACING, strategy=strategy)
    return replace(configuration, routing=routing)


def _teach(view: FakeView, item: Candidate, request: Call, *, is_suspected: bool) -> None:
    """Let answers of a candidate end. A suspected one was the best until it became slow, and has had no answer since.
    The others have just answered."""
    for number in range(24):
        ratio = 1.0 if not is_suspected else 0.2 if number < 18 else 4.0
        at = NOW - (60.0 if is_suspected else 1.0) + number / 100
        began_at = at - ratio * usual_s(request)
        tried = Tried(item, request, "chat", f"{item.id}{number}-1", began_at=began_at, peers=(item,))
        if request.stream:
            view.paces.content(tried, at)
        else:
            view.paces.ended(tried, None, at, tokens_out=0, content_at=None)


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
    acts = operation in ("image", "audio", "ocr", "file", "batch", "other")
    if rng.random() < 0.2 and operation in ("chat", "responses"):
        tools = rng.choice((HARMLESS, *ACTING))
        request, acts = replace(request, fields={"tools": Raw(tools)}), acts or tools is not HARMLESS
    if rng.random() < 0.1:
        request, acts = replace(request, operation="responses", stateful=True, fields={"store": Raw(b"true")}), True
    return request, acts


def may_get_a_rival(one: Situation, provider: str, *, is_race: bool = False) -> bool:
    """Define independently of the code whether a rival may be sent to a provider. A race may try out a provider that
    failed, once its breaker is no longer open, or 4 seconds after its last failure."""
    if one.acts or one.request.head.max_nano is not None:
        return False
    if one.required and one.regions[provider] != "eu":
        return False
    if one.key is not None and one.key.entries and provider not in one.key.entries:
        return False
    for used, limit in one.used.values():
        if not limit.soft and (used is None or used > 0.7 * limit.amount):
            return False
    ill = one.unhealthy - one.recovering if is_race else one.unhealthy
    return provider not in ill | one.pressed | one.blocked


def check(one: Situation, counts: Counter[str]) -> None:
    plan = decide(Facts(one.request, one.key, UNIX), one.view, ScriptedRandom(0.5), NOW)
    if not isinstance(plan, Plan):
        counts["rejected"] += 1
        return
    first = next_step(plan, Progress(), one.view, NOW)
    if not isinstance(first, Try):
        return
    check_race(one, plan, first, counts)
    if plan.hedging is not None and plan.hedging.race_s is not None:
        plan = replace(plan, hedging=replace(plan.hedging, race_s=None))
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


def check_race(one: Situation, plan: Plan, first: Try, counts: Counter[str]) -> None:
    """Check the step at once beside the first attempt."""
    had_budget = one.view.hedges.may_start(RACING, "chat")
    at_once = next_step(plan, Progress(running=(Beside(first, NOW),)), one.view, NOW)
    allowed = bool(plan.probe) and may_get_a_rival(one, plan.probe.partition("/")[0], is_race=True)
    if isinstance(at_once, Try):
        item = at_once.choice.candidate
        counts["races"] += 1
        counts["escapes"] += not (isinstance(at_once, Race) and item.id == plan.probe and allowed and had_budget)
        counts["escapes"] += item is first.choice.candidate
        beside_two = next_step(plan, Progress(running=(Beside(first, NOW), Beside(at_once, NOW))), one.view, NOW)
        counts["escapes"] += isinstance(beside_two, Try)
    elif plan.probe:
        is_first = first.choice.candidate.id == plan.probe
        counts["probes"] += is_first
        counts["missed"] += allowed and had_budget and len(plan.choices) > 1 and not plan.pinned and not is_first


def play(cases: int, seed: int) -> Counter[str]:
    rng, counts = Random(seed), Counter[str]()
    for _ in range(cases):
        check(generate(rng), counts)
    counts["cases"] = cases
    return counts


def checked(counts: Counter[str]) -> dict[str, Any]:
    found = {
        name: counts[name]
        for name in ("cases", "hedges", "races", "probes", "forbidden", "rejected", "missed", "escapes")
    }
    assert found["escapes"] == 0, found
    assert found["missed"] == 0, found
    assert found["hedges"] > found["cases"] / 20, "the cases hardly test anything"
    assert found["races"] > found["cases"] / 20, "the cases hardly test anything"
    assert found["probes"] > found["cases"] / 50, "the cases hardly test anything"
    assert found["forbidden"] > found["cases"] / 20, "the cases hardly test anything"
    return found


def test_rivals_start_only_where_nothing_forbids_them() -> None:
    checked(play(2_000, 1))


@pytest.mark.slow
def test_rivals_start_only_where_nothing_forbids_them_in_many_cases() -> None:
    found = checked(play(200_000, 2))
    if os.environ.get("POINTSMAN_MEASURE"):
        MEASUREMENT.write_text(json.dumps(found, indent=1) + "\n")
