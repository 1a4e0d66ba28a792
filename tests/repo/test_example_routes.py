"""The examples of routing send each request where their comments say."""

from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from fakes.questions import decided, keys_used, route, snapshot_of
from pointsman.domain.failures import Failure
from pointsman.domain.plans import Plan
from pointsman.domain.snapshots import Snapshot

EXAMPLES = Path(__file__).parents[2] / "examples"
IMAGE = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]
TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {}}}]
PICTURE = {"messages": [{"role": "user", "content": IMAGE}]}
LLAMA, MINI, GPT = "groq/llama-3.3-70b-versatile", "openai/gpt-4o-mini", "openai/gpt-4o"
FRANKFURT, TOKYO = "frankfurt/llama-3.3-70b", "tokyo/llama-3.3-70b"


@cache
def example(name: str) -> Snapshot:
    return snapshot_of((EXAMPLES / f"{name}.yaml").read_text())


def ask(name: str, key: str, body: dict[str, Any] | None = None, **fields: Any) -> Plan | Failure:
    return decided(example(name), body, key=key, **fields)


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("laptop", {"openai:dev"}),
        ("rehearsal", {"openai:staging", "openai:production", "groq:production"}),
        ("shop", {"openai:production", "groq:production"}),
    ],
)
def test_environments_use_their_own_provider_keys(key: str, expected: set[str]) -> None:
    assert keys_used(ask("environments", key)) == expected
    assert keys_used(ask("environments", key, {"fallbacks": [LLAMA, GPT]})) == expected


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        ({"model": LLAMA}, {}),
        ({}, {"x-pointsman-provider": "groq"}),
        ({}, {"x-pointsman-require": "environment=production"}),
    ],
)
def test_development_never_reaches_production(body: dict[str, Any], headers: dict[str, str]) -> None:
    assert route(ask("environments", "laptop", body, headers=headers)) == ["no_compliant_provider"]


def test_failing_development_account_does_not_open_production() -> None:
    assert keys_used(ask("environments", "laptop", failing=[MINI])) == {"openai:dev"}


def test_key_without_an_environment_is_rejected() -> None:
    assert route(ask("environments", "forgotten")) == ["refused_by_rule"]


@pytest.mark.parametrize(
    ("key", "tier", "expected"),
    [
        ("partner", None, [GPT, MINI]),
        ("web-app", "Premium", [GPT, MINI]),
        ("web-app", "basic", [LLAMA, MINI]),
        ("web-app", None, [LLAMA, MINI]),
        ("visitor", "premium", [LLAMA, MINI]),  # its client may not name the tier
    ],
)
def test_tiers_choose_the_model(key: str, tier: str | None, expected: list[str]) -> None:
    assert route(ask("tiers", key, headers={} if tier is None else {"x-tier": tier})) == expected


@pytest.mark.parametrize(
    ("key", "most", "expected"), [("visitor", None, 500), ("visitor", 900, 500), ("visitor", 9, 9)]
)
def test_free_tier_gets_short_answers(key: str, most: int | None, expected: int) -> None:
    decision = ask("tiers", key, {} if most is None else {"max_tokens": most})
    assert isinstance(decision, Plan)
    assert decision.call is None or decision.call.max_tokens == expected
    assert (decision.call is None) == (most == expected)


def test_teams_get_their_own_models() -> None:
    assert route(ask("teams", "scientist", {"tools": TOOLS})) == ["anthropic/claude-sonnet-5-5", GPT]
    assert route(ask("teams", "scientist")) == [GPT]
    assert route(ask("teams", "scientist", PICTURE)) == [GPT]
    assert route(ask("teams", "visitor")) == [MINI, LLAMA]
    assert route(ask("teams", "visitor", PICTURE)) == ["refused_by_rule"]


def test_customer_divides_its_requests_by_weight() -> None:
    firsts = [route(ask("teams", "helpdesk", seed=seed))[0] for seed in range(200)]
    assert set(firsts) == {LLAMA, MINI}
    assert 160 < firsts.count(LLAMA) < 198


@pytest.mark.parametrize(
    ("key", "require", "expected"),
    [
        ("oven", "", [FRANKFURT]),
        ("oven", "region=us", ["no_compliant_provider"]),
        ("cockpit", "", [TOKYO, LLAMA]),
        ("cockpit", "region=us", [LLAMA]),
        ("blog", "", [TOKYO, LLAMA, FRANKFURT]),
        ("blog", "region=eu", [FRANKFURT]),
    ],
)
def test_customers_stay_in_their_regions(key: str, require: str, expected: list[str]) -> None:
    headers = {"x-pointsman-require": require} if require else {}
    assert route(ask("regions", key, headers=headers)) == expected


@pytest.mark.parametrize(
    ("key", "time", "expected"),
    [
        ("desk", "2026-11-30T07:00", [GPT, MINI]),  # Monday, 8:00 in Berlin
        ("desk", "2026-11-30T06:59", [LLAMA, MINI]),
        ("desk", "2026-11-30T16:59", [GPT, MINI]),
        ("desk", "2026-11-30T17:00", [LLAMA, MINI]),
        ("desk", "2026-07-06T06:00", [GPT, MINI]),  # Monday, 8:00 in summer
        ("desk", "2026-11-29T12:00", [LLAMA, MINI]),  # Sunday
        ("nightly", "2026-11-30T12:00", [LLAMA, MINI]),
    ],
)
def test_business_hours_have_the_better_model(key: str, time: str, expected: list[str]) -> None:
    assert route(ask("business-hours", key, at=at(time))) == expected


@pytest.mark.parametrize(
    ("key", "percent", "expected", "most"),
    [
        ("notebook", 0, [GPT, MINI], None),
        ("notebook", 79, [GPT, MINI], None),
        ("notebook", 80, [LLAMA, MINI], None),
        ("notebook", 96, [LLAMA, MINI], 500),
        ("production", 85, [GPT, MINI], None),
        ("production", 96, [GPT, MINI], 500),
    ],
)
def test_used_budget_shifts_to_the_cheaper_model(
    key: str, percent: float, expected: list[str], most: int | None
) -> None:
    decision = ask("budget-shift", key, used={"team:research": percent})
    assert route(decision) == expected
    assert isinstance(decision, Plan)
    assert (decision.call.max_tokens if decision.call is not None else None) == most


@pytest.mark.parametrize(
    ("percent", "model"),
    [(79, "llama-3.3-70b"), (80, "llama-3.1-8b")],
)
def test_all_strategies_stay_in_europe(percent: float, model: str) -> None:
    def of(*names: str) -> list[str]:
        return [f"{name}/{model}" for name in names]

    used = {"team:research": percent}
    decision = ask("all-strategies", "notebook", used=used)
    assert isinstance(decision, Plan)
    assert set(route(decision)[:2]) == set(of("frankfurt", "paris"))
    assert route(decision)[2:] == of("zurich")
    assert keys_used(decision) == {"frankfurt:most", "frankfurt:few", "paris:default", "zurich:default"}
    rejected = {one.candidate: one.reason.code for one in decision.verdicts}
    assert rejected == {f"virginia/{model}": "no_compliant_provider"}
    assert decision.strategy == "adaptive"
    failing = ask("all-strategies", "notebook", used=used, failing=of("frankfurt", "paris"))
    assert route(failing)[0] == f"zurich/{model}"
