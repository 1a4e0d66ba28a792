"""Everything that the configuration file can say about a resource, the admin API can say."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fakes.control import control_plane
from fakes.resources import call
from integration.gateway import run, until
from pointsman.config.limits_schema import BudgetSettings, RateLimitSettings
from pointsman.config.pricing_schema import PriceSettings
from pointsman.config.routing_schema import ModelSettings, RuleSettings, TargetSettings
from pointsman.config.schema import (
    AccessTemplateSettings,
    CustomerSettings,
    DefaultSettings,
    KeySettings,
    ProviderSettings,
    TeamSettings,
    VirtualKeySettings,
)
from pointsman.config.sections import Section

CONFIG = """\
data_dir: .
providers: {openai: env.OPENAI_API_KEY}
governance:
  teams: {research: {}}
  customers: {acme: {}}
  virtual_keys: {me: {value: env.ME, team: research}}
"""
BUDGET = {"limit_usd": 5, "per": "day", "zone": "UTC", "soft": False, "paced": True, "then": "openai/gpt-4o-mini"}
RATES = [
    {"requests": 5, "per": "minute", "soft": True},
    {"tokens": 5, "per": {"hours": 6}},
    {"requests": 9, "per": "day", "zone": "UTC"},
]
OWNER = {"budgets": [BUDGET], "rate_limits": RATES, "labels": {"a": "b"}, "require": {"region": ["eu"]}}
PLAIN = {**OWNER, "require": {}}
RIGHTS = {
    **PLAIN,
    "from": ["192.0.2.0/24"],
    "child_keys": {"at_most": 5, "longest_s": 60},
    "allow_models": ["*"],
    "providers": {"openai": {"weight": 1, "allow_models": ["*"], "keys": ["default"], "rate_limits": RATES}},
    "strategy": "priority",
    "provider_tools": ["web_search"],
    "near_limit": "shorten",
    "end_users": "trusted",
}
AZURE = {"type": "azure", "base_url": "https://a.openai.azure.com/openai", "api_version": "2024-10-21"}
ACCOUNT = '{"type": "authorized_user", "client_id": "c", "client_secret": "s", "refresh_token": "r"}'
APPLICATION = {"tenant": "t", "client_id": "c", "client_secret": "s"}
PRICES = [
    "input_usd_per_million",
    "output_usd_per_million",
    "cached_input_usd_per_million",
    "cache_write_usd_per_million",
    "reasoning_usd_per_million",
    "audio_input_usd_per_million",
    "audio_output_usd_per_million",
    "image_input_usd_per_million",
    "image_output_usd_per_million",
    "per_request_usd",
    "per_image_usd",
    "audio_usd_per_minute",
    "characters_usd_per_million",
    "per_page_usd",
    "per_search_usd",
]
PRICE = {
    **dict.fromkeys(PRICES, 1),
    "batch_percent": 50,
    "least_seconds": 1,
    "max_output_tokens": 9,
    "context_tokens": 9,
    "tools_usd": {"web_search": 1},
}
CASES: dict[str, tuple[type[Section], list[tuple[str, Any]]]] = {
    "providers": (
        ProviderSettings,
        [
            (
                "up",
                {
                    "type": "openai-compatible",
                    "base_url": "https://api.example.com/v1",
                    "keys": {
                        "main": {
                            "value": "sk-1",
                            "weight": 2,
                            "serves": ["*"],
                            "tags": {"a": "b"},
                            "cache_domain": "one",
                            "deployments": {"x": "y"},
                        }
                    },
                    "serves": {"only": ["x"]},
                    "catalog": "",
                    "tags": {"region": {"value": "eu", "evidence": "contract", "expires": "2099-01-01"}},
                    "budgets": [{"limit_usd": 5, "per": "month"}],
                    "rate_limits": RATES,
                    "bills_unfinished": "none",
                    "output_bound": "max_tokens",
                    "max_concurrency": 5,
                    "deployments": {"x": "y"},
                    "trace_context": True,
                    "egress": {"connections": 5},
                },
            ),
            ("azure", {**AZURE, "keys": {"a": {"entra": APPLICATION}}, "deployments": {"gpt-4o": "mine"}}),
            (
                "bedrock",
                {
                    "region": "us-east-1",
                    "keys": {"a": {"aws": {"access_key_id": "AKIAIOSFODNN7EXAMPLE", "secret_access_key": "s"}}},
                },
            ),
            (
                "vertex",
                {
                    "region": "europe-west4",
                    "project": "p",
                    "keys": {"a": {"google": ACCOUNT}},
                },
            ),
        ],
    ),
    "models": (
        ModelSettings,
        [
            (
                "quick",
                {
                    "strategy": "weighted",
                    "targets": [
                        {
                            "model": "openai/gpt-4o",
                            "weight": 2,
                            "variant": "trial",
                            "timeouts": {"stream_head_s": 5},
                            "canary": {"abort_if": {"error_rate_above_control": 0.1}},
                            "tags": {"region": "eu"},
                        },
                        "openai/gpt-4o-mini",
                    ],
                    "fallbacks": ["openai/gpt-4.1"],
                    "fallbacks_for": {"context_length": ["openai/gpt-4.1"]},
                    "siblings": False,
                    "timeouts": {"commit_s": 60},
                    "failover": {"first_token_s": 5},
                    "duplicates": "none",
                    "mirror": {"to": "openai/gpt-4.1-mini", "budgets": [{"limit_usd": 1, "per": "day"}]},
                    "require": {},
                    "response_model": "requested",
                },
            )
        ],
    ),
    "rules": (
        RuleSettings,
        [
            (
                "up",
                {
                    "name": "up",
                    "scope": "team:research",
                    "when": 'model == "x"',
                    "enabled": True,
                    "chain": False,
                    "on_unknown": "skip",
                    "targets": ["openai/gpt-4o"],
                    "strategy": "priority",
                    "fallbacks": ["openai/gpt-4o-mini"],
                    "provider_key": "default",
                    "timeouts": {"commit_s": 60},
                    "set": {"temperature": 0},
                    "drop": ["logit_bias"],
                    "require": {},
                    "value": 5,
                },
            ),
            ("other", {"model": "openai/gpt-4o"}),
            ("never", {"when": 'model == "y"', "refuse": {"message": "no"}}),
        ],
    ),
    "customers": (CustomerSettings, [("made", OWNER)]),
    "teams": (TeamSettings, [("made", {**OWNER, "customer": "acme"})]),
    "access-templates": (
        AccessTemplateSettings,
        [("made", {**RIGHTS, "team": "research", "at_most": 2, "longest_s": 60})],
    ),
    "defaults": (
        DefaultSettings,
        [
            (
                "virtual_key;team=research;label.a=b",
                {"each": "virtual_key", "team": "research", "labels": {"a": "b"}, "budgets": [BUDGET]},
            ),
            (
                "end_user;customer=acme",
                {
                    "each": "end_user",
                    "customer": "acme",
                    "end_user_from": "header:x-user",
                    "at_most": 5,
                    "rate_limits": RATES,
                },
            ),
        ],
    ),
    "prices": (
        PriceSettings,
        [
            (f"openai/*;{owner}={name}", {"model": "openai/*", owner: name, **PRICE})
            for owner, name in (("team", "research"), ("customer", "acme"), ("virtual_key", "me"))
        ],
    ),
    "keys": (
        VirtualKeySettings,
        [("app", {**RIGHTS, "team": "research"}), ("other", {"customer": "acme"}), ("third", {"template": "made"})],
    ),
}
# The API has these beside the settings of a key.
BESIDE = {"value", "previous_value", "expires_at"}


def fields_of(section: type[Section]) -> set[str]:
    return {field.alias or name for name, field in section.model_fields.items()}


def given(specs: Iterable[Any]) -> set[str]:
    return {field for spec in specs for field in spec}


def test_cases_have_every_field_of_the_file() -> None:
    for plural, (section, specs) in CASES.items():
        missing = fields_of(section) - given(spec for _, spec in specs) - (BESIDE if plural == "keys" else set())
        assert not missing, f"{plural}: {missing}"
    assert not fields_of(BudgetSettings) - given([BUDGET])
    assert not fields_of(RateLimitSettings) - given(RATES)
    keys = [key for _, spec in CASES["providers"][1] for key in spec["keys"].values()]
    assert not fields_of(KeySettings) - given(keys)
    assert not fields_of(TargetSettings) - given(CASES["models"][1][0][1]["targets"][:1])


def test_every_field_is_taken(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path, config=CONFIG) as plane:
            keys = plane.inquiry_handler.parts.keys
            await until(lambda: not keys._is_behind, "the keys are read from the store")
            wrong = []
            for plural, (_, specs) in CASES.items():
                for name, spec in specs:
                    field = "settings" if plural == "keys" else "spec"
                    answer = await call(plane, "POST", plural, {"name": name, field: spec})
                    if answer.status_code != 201:
                        wrong.append(f"{plural} {name}: {answer.text[:400]}")
                        continue
                    shown = answer.json().get("resource", answer.json())[field]
                    wrong += [
                        f"{plural} {name}: {part} is shown as {shown.get(part)}"
                        for part, value in spec.items()
                        if part != "keys" and shown.get(part) != value
                    ]
            assert not wrong, "\n".join(wrong)

    run(main())
