"""Configurations of LiteLLM's proxy route as they do there."""

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from pointsman.importers.draft import Draft
from pointsman.importers.origin import ImportRejectedError
from pointsman.importers.origins.litellm import ORIGIN
from unit.importers.origins.origin_cases import cases, imported, route

CASES = cases("litellm_cases.yaml")


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_configuration_routes_as_the_original(case: dict[str, Any], tmp_path: Path) -> None:
    snapshot, draft = imported(ORIGIN, case["document"], tmp_path)
    found = {name: route(model, snapshot.routing.strategy.name) for name, model in snapshot.models.items()}
    assert found == case["routes"]
    for model, price in case.get("prices", {}).items():
        overrides = draft.sections["pricing"]["overrides"]
        assert [one["input_usd_per_million"] for one in overrides if one["model"] == model] == [price]
    if "fallbacks_noted" in case:
        assert any("`order`" in note.text for note in draft.notes)


def test_secrets_in_clear_are_moved_out_of_the_configuration(tmp_path: Path) -> None:
    params = {"model": "openai/gpt-5.4", "api_key": "sk-canary-1"}
    other = {"model": "openai/gpt-5.4", "api_key": "sk-canary-2"}
    document = {
        "model_list": [{"model_name": "a", "litellm_params": params}, {"model_name": "a", "litellm_params": other}],
        "general_settings": {"master_key": "sk-canary-3"},
    }
    _, draft = imported(ORIGIN, document, tmp_path)
    assert draft.secrets == {
        "OPENAI_API_KEY": "sk-canary-1",
        "OPENAI_API_KEY_2": "sk-canary-2",
        "LITELLM_MASTER_KEY": "sk-canary-3",
    }
    for file in ("pointsman.yaml", "report.md"):
        assert "canary" not in (tmp_path / file).read_text()
    assert "OPENAI_API_KEY_2='sk-canary-2'" in (tmp_path / "secrets.env").read_text()


def test_every_setting_without_a_counterpart_is_in_the_report(tmp_path: Path) -> None:
    params = {"model": "openai/gpt-5.4", "temperature": 0.1, "invented": 1}
    document = {
        "model_list": [
            {"model_name": "a", "litellm_params": params},
            {"model_name": "b", "litellm_params": {"model": "nobody/model"}},
        ],
        "router_settings": {"invented_router": 1, "cooldown_time": 30},
        "litellm_settings": {"invented_library": 1, "cache": True, "success_callback": ["langfuse"]},
        "general_settings": {"invented_general": 1},
        "invented_section": {"a": 1},
    }
    _, draft = imported(ORIGIN, document, tmp_path)
    lost = {note.origin for note in draft.notes if note.kind == "lost"}
    assert lost >= {
        "model_list[0] (a).temperature",
        "model_list[0] (a).invented",
        "model_list[1] (b)",
        "router_settings.invented_router",
        "litellm_settings.invented_library",
        "litellm_settings.cache",
        "general_settings.invented_general",
        "invented_section",
    }
    text = (tmp_path / "report.md").read_text()
    assert all(f"`{place}`" in text for place in lost)


def test_other_documents_are_rejected() -> None:
    with pytest.raises(ImportRejectedError, match="no list `model_list`"):
        ORIGIN.read({"providers": {}}, Draft())


NOW = 1_800_000_000.0
SOON, PAST = datetime.fromtimestamp(NOW + 60), datetime.fromtimestamp(NOW - 60)  # noqa: DTZ006 -- as in LiteLLM's columns
TEAM = {"team_id": "t-1", "team_alias": "research", "organization_id": "o-1", "models": ["gpt-5.4", "claude"]}


def keys(*rows: dict[str, Any], **tables: list[dict[str, Any]]) -> Draft:
    draft = Draft()
    assert ORIGIN.read_rows is not None
    found = [{"token": f"{number:064x}", **row} for number, row in enumerate(rows)]
    ORIGIN.read_rows({"LiteLLM_VerificationToken": found, **tables}, draft, NOW)
    return draft


def test_keys_keep_their_digest_limits_team_and_end() -> None:
    row = {
        "key_alias": "app",
        "team_id": "t-1",
        "user_id": "ann",
        "expires": datetime(2027, 1, 2, 3, 4, 5),  # noqa: DTZ001
        "max_budget": 30.0,
        "budget_duration": "30d",
        "budget_reset_at": SOON,
        "spend": 29.9,
        "rpm_limit": 60,
        "tpm_limit": 1000,
        "models": ["gpt-5.4", "other"],
    }
    organization = {"organization_id": "o-1", "organization_alias": "Acme", "budget_id": "b", "spend": 7.5}
    budget = {"budget_id": "b", "max_budget": 100, "budget_duration": "7d"}
    tables = {"LiteLLM_OrganizationTable": [organization], "LiteLLM_BudgetTable": [budget]}
    draft = keys(row, LiteLLM_TeamTable=[TEAM], **tables)
    assert draft.keys == [
        {
            "name": "app",
            "value": f"sha256:{0:064x}",
            "budgets": [{"limit_usd": "30", "per": "month"}],
            "rate_limits": [{"requests": 60, "per": "minute"}, {"tokens": 1000, "per": "minute"}],
            "team": "research",
            "allow_models": ["gpt-5.4"],
            "expires_at": "2027-01-02T03:04:05Z",
            "labels": {"litellm_user": "ann"},
        }
    ]
    assert draft.sections["governance"]["teams"] == {"research": {"customer": "Acme"}}
    assert draft.sections["governance"]["customers"] == {"Acme": {"budgets": [{"limit_usd": "100", "per": "week"}]}}
    assert [(one.owner, one.per, one.usd) for one in draft.carried] == [
        ("customer:Acme", "week", "7.5"),
        ("virtual_key:app", "month", "29.9"),
    ]


def test_spending_of_a_window_that_has_ended_is_not_carried() -> None:
    draft = keys({"max_budget": 5, "budget_duration": "1d", "budget_reset_at": PAST, "spend": 4.0})
    assert draft.carried == []


def test_blocked_keys_and_unhashed_tokens_are_left_out_and_reported() -> None:
    draft = keys({"blocked": True, "key_alias": "a"}, {"token": "sk-old", "key_alias": "b"}, {"key_alias": "c"})
    assert [one["name"] for one in draft.keys] == ["c"]
    assert [note.origin for note in draft.notes if note.kind == "lost"] == ["key a", "key b"]


@pytest.mark.parametrize(
    ("own", "of_team", "expected"),
    [
        ([], [], None),
        ([], ["gpt-5.4"], ["gpt-5.4"]),
        (["all-team-models"], ["gpt-5.4"], ["gpt-5.4"]),
        (["all-proxy-models"], ["gpt-5.4"], ["gpt-5.4"]),
        (["gpt-5.4", "x"], ["gpt-5.4"], ["gpt-5.4"]),
        (["x"], ["gpt-5.4"], ["no-model-of-the-team"]),
        (["x"], ["all-proxy-models"], ["x"]),
    ],
)
def test_key_gets_no_model_that_its_team_may_not_use(
    own: list[str], of_team: list[str], expected: list[str] | None
) -> None:
    draft = keys({"models": own, "team_id": "t-1"}, LiteLLM_TeamTable=[{**TEAM, "models": of_team}])
    assert draft.keys[0].get("allow_models") == expected
