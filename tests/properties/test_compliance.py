"""No provider key is used that does not meet every requirement of its request, in generated configurations with faults.

The oracle is a definition of its own: it reads the generated configuration as plain data and shares no code with the
filter. Every key of every plan is checked, and so is every attempt of a plan whose attempts fail, with a duplicate
beside each. With `POINTSMAN_MEASURE` set, the figures are written to docs/measurements."""

import json
import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import pytest
from msgspec.structs import replace

from fakes.routing import NOW, FakeView, drive, endpoint, provider_key
from fakes.routing import call as make_call
from pointsman.domain import failures
from pointsman.domain.calls import Call, Facts
from pointsman.domain.failures import Failure
from pointsman.domain.identity import ProviderEntry, VirtualKey
from pointsman.domain.limits import Limit, Period
from pointsman.domain.operations import Operation
from pointsman.domain.plans import HedgeTerms, Plan, Progress, Try
from pointsman.domain.requirements import Requirement, Tag
from pointsman.domain.rules import Rule
from pointsman.domain.snapshots import Hedging, PublicModel, Snapshot
from pointsman.domain.state import Pin
from pointsman.domain.targets import Candidate, Provenance, Strategy, candidate
from pointsman.routing.decide import decide
from pointsman.routing.failover import next_step
from pointsman.routing.view import Exhausted
from pointsman.wire.requirements import read_require

TABLE = Path(__file__).parents[2] / "docs" / "measurements" / "compliance.json"
REQUESTS = 40  # of each configuration
TIMES = (0.0, 49.9, 50.0, 99.9, 100.0)  # of the requests, in Unix seconds: tags expire between them
HEDGE_S = 0.01
HEDGING = Hedging(after_s=HEDGE_S)
HEDGED = HedgeTerms(HEDGING, None, 0.0)
KINDS = (failures.UPSTREAM_ERROR, failures.UPSTREAM_RATE_LIMITED, failures.CREDENTIAL_REJECTED, failures.CONNECT_FAILED)
OPERATIONS: tuple[Operation, ...] = ("chat", "chat", "embedding", "responses", "file", "batch")
Stated = dict[str, list[tuple[str, float | None]]]  # the values of tags, each with the time of its end
Need = tuple[str, bool, tuple[str, ...]]  # a tag, whether all of the values are needed, and the values


@dataclass
class World:
    """A configuration as plain data, for the oracle, and as a snapshot."""

    providers: dict[str, Stated] = field(default_factory=dict)
    keys: dict[tuple[str, str], Stated] = field(default_factory=dict)  # by provider and key
    targets: dict[str, Stated] = field(default_factory=dict)  # by candidate: each is in one public name or rule
    public_of: dict[str, str] = field(default_factory=dict)  # by candidate
    needs: dict[str, list[Need]] = field(default_factory=dict)  # by public name
    everywhere: list[Need] = field(default_factory=list)
    of_key: dict[str, list[Need]] = field(default_factory=dict)  # by virtual key
    rule: Rule | None = None
    of_rule: list[Need] = field(default_factory=list)
    snapshot: Snapshot = field(default_factory=lambda: Snapshot(digest="", endpoints={}, models={}, virtual_keys={}))
    virtual_keys: list[VirtualKey] = field(default_factory=list)


@dataclass
class Case:
    """One request as plain data: its header's needs, and the names that it requests."""

    call: Call
    key: VirtualKey | None
    unix_s: float
    header: list[Need]


def may_be_used(world: World, case: Case, item: str, provider: str, key: str) -> bool:
    """The oracle: whether a key of a provider may serve a request as this candidate."""
    asked = case.call.model
    needs = [*world.everywhere, *case.header, *world.needs.get(asked, [])]
    needs += world.needs.get(world.public_of.get(item, ""), [])
    if case.key is not None:
        needs += world.of_key[case.key.name]
    rule = world.rule
    if rule is not None and rule.level in ("global", "virtual_key") and _is_ruled(rule, case):
        needs += world.of_rule
        if rule.model is not None and asked:  # rules do not route calls without a model
            needs += world.needs.get(rule.model, [])
    for tag, every, values in needs:
        sources = [one[tag] for one in (world.keys[provider, key], world.targets.get(item, {})) if tag in one]
        for source in sources or [world.providers[provider].get(tag, [])]:
            valid = [value for value, end in source if end is None or case.unix_s < end]
            if not (all(value in valid for value in values) if every else any(value in valid for value in values)):
                return False
    return True


def _is_ruled(rule: Rule, case: Case) -> bool:
    return (
        rule.level == "global"
        or (case.key is not None and f"virtual_key:{case.key.name}" == rule.owner)
        or (case.key is not None and case.key.name == rule.owner)
    )


class Maker:
    """Makes configurations and requests from one seed."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)

    def some(self, share: float) -> bool:
        return self.rng.random() < share

    def stated(self, share: float = 0.7) -> Stated:
        found: Stated = {}
        for name, values in (("region", "eu us ap"), ("certifications", "hipaa soc2 iso")):
            if self.some(share):
                chosen = self.rng.sample(values.split(), self.rng.choice((1, 1, 1, 2)))
                found[name] = [(one, self.rng.choice((None, None, None, 50.0, 100.0))) for one in chosen]
        return found

    def needs(self, share: float) -> list[Need]:
        found: list[Need] = []
        if self.some(share):
            found.append(("region", False, tuple(self.rng.sample(("eu", "us", "ap"), self.rng.choice((1, 1, 2))))))
        if self.some(share / 3):
            every = self.some(0.5)
            found.append(("certifications", every, tuple(self.rng.sample(("hipaa", "soc2", "iso"), 1 + every))))
        return found

    def world(self) -> World:
        rng, world = self.rng, World()
        endpoints = {}
        for number in range(rng.randint(2, 5)):
            name = f"p{number}"
            world.providers[name] = self.stated()
            keys = []
            for index in range(rng.choice((1, 1, 2, 3))):
                tags = self.stated(0.2) if self.some(0.5) else {}
                world.keys[name, f"k{index}"] = tags
                keys.append(replace(provider_key(f"k{index}", rng.choice((1.0, 3.0))), tags=_tags(tags)))
            endpoints[name] = replace(endpoint(name, *keys), tags=_tags(world.providers[name]))

        def items(prefix: str, public: str, provenance: Provenance, count: int) -> list[Candidate]:
            found = []
            for index in range(count):
                made = candidate(rng.choice(list(endpoints.values())), f"{prefix}{index}", provenance=provenance)
                tags = self.stated(0.3) if provenance == "target" and self.some(0.3) else {}
                world.targets[made.id], world.public_of[made.id] = tags, public
                require = _requirements(world.needs.get(public, []), f"model {public}")
                found.append(replace(made, tags=_tags(tags), require=require, weight=rng.choice((0.0, 1.0, 1.0, 5.0))))
            return found

        models = {}
        for public in ("a", "b"):
            world.needs[public] = self.needs(0.2)
            others = items(f"{public}f", public, "fallback", rng.choice((0, 1, 2)))
            others += items(f"{public}s", public, "sibling", rng.choice((0, 1)))
            models[public] = PublicModel(
                name=public,
                targets=tuple(items(f"{public}t", public, "target", rng.randint(1, 4))),
                fallbacks=tuple(others),
                strategy=Strategy(rng.choice(("priority", "weighted"))),
                require=_requirements(world.needs[public], f"model {public}"),
            )
        for name in ("none", "one", "two"):
            world.of_key[name] = [] if name == "none" else self.needs(0.8)
            owner = f"virtual_key:{name}"
            then = rng.choice(("", "", "b", "p0/z"))
            limit = Limit(level="virtual_key", owner=owner, metric="usd", period=Period("day"), amount=1, then=then)
            entries = {}
            if self.some(0.3):
                allowed = frozenset({"k0"}) if self.some(0.5) else None
                entries = {one: ProviderEntry(one, keys=allowed) for one in endpoints}
            require = _requirements(world.of_key[name], f"virtual key {name}")
            world.virtual_keys.append(
                VirtualKey(name=name, digest=name.encode(), limits=(limit,), entries=entries, require=require)
            )
        world.everywhere = self.needs(0.2)
        if self.some(0.3):
            world.of_rule = self.needs(0.5)
            kind = rng.choice(("model", "targets", "fallbacks", "key", "none"))
            world.rule = Rule(
                name="r",
                requirements=_requirements(world.of_rule, "routing rule r"),
                model="b" if kind == "model" else None,
                targets=tuple(items("rt", "", "target", 2)) if kind == "targets" else (),
                fallbacks=tuple(items("rf", "", "fallback", 2)) if kind == "fallbacks" else None,
                provider_key="k1" if kind == "key" else None,
            )
        world.snapshot = Snapshot(
            digest="generated",
            endpoints=endpoints,
            models=models,
            virtual_keys={key.digest: key for key in world.virtual_keys},
            require=_requirements(world.everywhere, "the top-level require"),
            default_provider=rng.choice((None, "p0", "p1")),
            rules=(world.rule,) if world.rule is not None else (),
        )
        return world

    def case(self, world: World, unix_s: float) -> Case:
        rng, providers = self.rng, list(world.providers)
        operation = rng.choice(OPERATIONS)
        is_stored = operation in ("file", "batch")
        model = "" if is_stored else rng.choice(("a", "a", "b", *(f"{name}/x" for name in providers), "nobody"))
        names = ("a", "b", *(f"{name}/y" for name in providers))
        fallbacks = tuple(rng.sample(names, rng.randint(1, 3))) if not is_stored and self.some(0.3) else ()
        provider = rng.choice(providers) if self.some(0.25) else None
        made = make_call(model, operation, fallbacks=fallbacks, provider=provider, stateful=is_stored or self.some(0.1))
        header = self.needs(0.4) if self.some(0.4) else []
        if header:
            text = ", ".join(f"{tag}={('+' if every else '|').join(values)}" for tag, every, values in header)
            made = replace(made, head=replace(made.head, require=read_require(text)))
        if is_stored and self.some(0.5):
            place, key = rng.choice(list(world.keys))
            made = replace(made, pin=Pin(place, key, "the file 'f'"))
        return Case(made, rng.choice((None, *world.virtual_keys)), unix_s, header)

    def view(self, world: World) -> "SteadyView":
        view, rng = SteadyView(world.snapshot), self.rng
        ids = [item.id for one in world.snapshot.models.values() for item in (*one.targets, *one.fallbacks)]
        for one in rng.sample(ids, rng.randint(0, len(ids))) if self.some(0.5) else ():
            view.open_breaker(one, NOW + rng.choice((-1.0, 1.0, 60.0)))
        for provider, key in rng.sample(list(world.keys), rng.randint(0, len(world.keys))) if self.some(0.4) else ():
            view.block(provider, key, rng.choice(KINDS), NOW + rng.choice((1.0, 60.0)))
        for owner in world.virtual_keys:
            if self.some(0.1):
                limit = owner.limits[0]
                view.exhausted[limit.counter] = Exhausted(limit, NOW + 60, NOW + 60, 60)
        for item in world.snapshot.endpoints.values():
            if self.some(0.1):
                view.saturated.add((item.network, item.origin))
        return view


class SteadyView(FakeView):
    """A view whose version stays, so that evaluations are reused."""

    @property
    def version(self) -> object:
        return self.conditions


@dataclass
class Beside:
    """An attempt in progress."""

    step: Try
    started_at: float
    has_content: bool = False


def _tags(stated: Stated) -> dict[str, tuple[Tag, ...]]:
    return {name: tuple(Tag(value, expires_at=end) for value, end in values) for name, values in stated.items()}


def _requirements(needs: list[Need], origin: str) -> tuple[Requirement, ...]:
    return tuple(Requirement(tag, values, every, origin) for tag, every, values in needs)


def check_plan(world: World, case: Case, plan: Plan, counts: Counter[str]) -> None:
    for choice in plan.choices:
        for key in choice.keys:
            counts["keys_in_plans"] += 1
            item = choice.candidate
            counts["escapes"] += not may_be_used(world, case, item.id, item.endpoint.name, key.name)


def check_attempts(world: World, case: Case, plan: Plan, view: SteadyView, rng: Random, counts: Counter[str]) -> None:
    """Let all attempts fail, with a duplicate beside the first of them."""
    first = next_step(plan, Progress(), view, NOW)
    steps = [first]
    if isinstance(first, Try):
        hedged = replace(plan, hedging=HEDGED)
        view.hedges.count(HEDGING, plan.model, is_rival=False)
        steps.append(next_step(hedged, Progress(running=(Beside(first, NOW),)), view, NOW + 2 * HEDGE_S))
    trace = drive(plan, view, lambda step: Failure(rng.choice(KINDS), "failed", retry_after_s=0.1))
    for step in (*steps, *trace.tries):
        if isinstance(step, Try):
            counts["attempts"] += 1
            item = step.choice.candidate
            counts["escapes"] += not may_be_used(world, case, item.id, item.endpoint.name, step.key.name)
    counts["duplicates"] += isinstance(steps[-1], Try) and len(steps) > 1


def check_refusals(world: World, case: Case, found: Plan | Failure, counts: Counter[str]) -> None:
    """Check that nothing is left out for a requirement that it meets."""
    if isinstance(found, Failure):
        counts["rejected"] += 1
        counts["no_compliant_provider"] += found.kind is failures.NO_COMPLIANT_PROVIDER
        return
    for verdict in found.verdicts:
        if verdict.policy == "compliance":
            provider = verdict.candidate.partition("/")[0]
            keys = [key for name, key in world.keys if name == provider]
            entry = case.key.entries.get(provider) if case.key is not None else None
            if entry is not None and entry.keys is not None:
                keys = [key for key in keys if key in entry.keys]
            if world.rule is None and case.call.pin is None:
                usable = [key for key in keys if may_be_used(world, case, verdict.candidate, provider, key)]
                counts["false_refusals"] += bool(usable)


def run_cases(count: int, seed: int) -> Counter[str]:
    """Run generated cases. Every fourth is also decided by a router without any memo."""
    counts: Counter[str] = Counter(escapes=0, false_refusals=0, differences=0)
    while counts["cases"] < count:
        maker = Maker(seed + counts["configurations"])
        world = maker.world()
        counts["configurations"] += 1
        for number in range(REQUESTS):
            unix_s = TIMES[number * len(TIMES) // REQUESTS]
            case, view, draws = maker.case(world, unix_s), maker.view(world), maker.rng.random()
            facts = Facts(case.call, case.key, case.unix_s)
            found = decide(facts, view, Random(draws), NOW)
            counts["cases"] += 1
            counts["with_fallbacks"] += bool(case.call.fallbacks)
            counts["named_provider"] += case.call.head.provider is not None
            counts["stored_objects"] += case.call.operation in ("file", "batch")
            counts["with_header"] += bool(case.header)
            counts["by_rules"] += world.rule is not None
            counts["with_faults"] += bool(view.conditions or view.key_blocks or view.exhausted or view.saturated)
            check_refusals(world, case, found, counts)
            if counts["cases"] % 4 == 0:
                counts["cold"] += 1
                cold = replace(world.snapshot)
                again = decide(facts, replace_snapshot(view, cold), Random(draws), NOW)
                counts["differences"] += outline(found) != outline(again)
            if isinstance(found, Plan):
                check_plan(world, case, found, counts)
                check_attempts(world, case, found, view, maker.rng, counts)
    return counts


def replace_snapshot(view: SteadyView, snapshot: Snapshot) -> SteadyView:
    other = SteadyView(snapshot)
    other.conditions, other.key_blocks = dict(view.conditions), dict(view.key_blocks)
    other.exhausted, other.saturated = view.exhausted, view.saturated
    return other


def outline(found: Plan | Failure) -> Any:
    if isinstance(found, Failure):
        return found.kind.code, found.message
    return [(choice.candidate.id, [key.name for key in choice.keys]) for choice in found.choices]


def assert_sound(counts: Counter[str]) -> None:
    print(dict(counts))
    assert counts["escapes"] == 0
    assert counts["false_refusals"] == 0
    assert counts["differences"] == 0
    assert min(counts["attempts"], counts["no_compliant_provider"], counts["duplicates"]) > counts["cases"] / 50


def test_generated_requests_use_no_key_that_lacks_a_requirement() -> None:
    assert_sound(run_cases(2_000, seed=1))


def test_the_oracle_notices_a_filter_that_lets_one_requirement_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pointsman.routing.compliance.is_compliant", lambda item, key, unix_s: True)
    assert run_cases(400, seed=2)["escapes"] > 50


@pytest.mark.slow
def test_two_hundred_thousand_generated_cases_have_no_escape() -> None:
    counts = run_cases(200_000, seed=1_000_000)
    assert_sound(counts)
    if os.environ.get("POINTSMAN_MEASURE"):
        TABLE.write_text(json.dumps(dict(sorted(counts.items())), indent=2) + "\n")
