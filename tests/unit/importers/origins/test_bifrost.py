"""Configurations of Bifrost route as they do there."""

from pathlib import Path
from typing import Any

import pytest

from pointsman.domain.snapshots import limits_of
from pointsman.importers.draft import Draft
from pointsman.importers.origin import ImportRejectedError
from pointsman.importers.origins._bifrost_rules import condition_of
from pointsman.importers.origins.bifrost import ORIGIN
from unit.importers.origins.origin_cases import cases, imported, limit_texts, route

CASES = cases("bifrost_cases.yaml")


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_configuration_routes_as_the_original(case: dict[str, Any], tmp_path: Path) -> None:
    snapshot, draft = imported(ORIGIN, case["document"], tmp_path)
    routes = {name: route(model, snapshot.routing.strategy.name) for name, model in snapshot.models.items()}
    assert routes == case["routes"]
    made = draft.sections.get("governance", {}).get("virtual_keys", {})
    providers = {
        name: ", ".join(
            provider + (f"*{rights['weight']:g}" if "weight" in rights else "")
            for provider, rights in sorted(key["providers"].items())
        )
        for name, key in made.items()
    }
    assert providers == case.get("keys", {name: providers[name] for name in providers if "rules" in case})
    rules = {
        one["name"]: ", ".join(
            target if isinstance(target, str) else f"{target['model']}*{target['weight']:g}"
            for target in one["targets"]
        )
        + (f" | {', '.join(one['fallbacks'])}" if "fallbacks" in one else "")
        for one in draft.sections.get("routing", {}).get("rules", ())
    }
    assert rules == case.get("rules", {})
    assert list(rules) == list(case.get("rules", {})), "in the order of their priority"
    limits: dict[str, list[Any]] = {}
    for limit in limits_of(snapshot):
        limits.setdefault(limit.owner, []).append(limit)
    assert {owner: limit_texts(tuple(found)) for owner, found in limits.items()} == case.get("limits", {})


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("", None),
        ("true", None),
        ("request.model == 'gpt-4o'", "model == 'gpt-4o'"),
        ('"x-tier" in headers && headers["x-tier"] == "a"', 'present(headers, "x-tier") && headers["x-tier"] == "a"'),
        ("team_name == 'ml' || customer_name == 'acme'", "team == 'ml' || customer == 'acme'"),
        ("virtual_key_name.startsWith('prod')", "key.name.startsWith('prod')"),
        ("budget_used > 80", "budget_used.max > 80"),
        ("tokens_used > 80", "tokens_used.virtual_key > 80"),
        ("request > 90", "requests_used.virtual_key > 90"),
    ],
)
def test_conditions_use_the_variables_of_this_gateway(theirs: str, ours: str | None) -> None:
    assert condition_of(theirs) == (ours, None)


@pytest.mark.parametrize("theirs", ["provider == 'openai'", "complexity_tier == 'SIMPLE'", "user_id == 'x'"])
def test_condition_without_a_counterpart_is_not_guessed(theirs: str) -> None:
    condition, problem = condition_of(theirs)
    assert condition is None
    assert problem is not None
    assert "no counterpart" in problem


def test_keys_in_clear_become_digests(tmp_path: Path) -> None:
    document = next(case["document"] for case in CASES if case["name"] == "budgets and limits of every owner")
    imported(ORIGIN, document, tmp_path)
    text = (tmp_path / "pointsman.yaml").read_text()
    assert "sk-bf-in-clear" not in text
    assert "sha256:" in text


def test_settings_without_a_counterpart_are_in_the_report(tmp_path: Path) -> None:
    document = next(case["document"] for case in CASES if case["name"] == "everything around the routing")
    _, draft = imported(ORIGIN, document, tmp_path)
    lost = {note.origin for note in draft.notes if note.kind == "lost"}
    assert lost >= {"config.json.mcp", "config.json.plugins", "config.json.vector_store"}
    assert draft.sections["server"]["cors"]["origins"] == ["https://app.example.com"]


def test_other_documents_are_rejected() -> None:
    with pytest.raises(ImportRejectedError, match="no mapping `providers`"):
        ORIGIN.read({"model_list": []}, Draft())
