"""Resources made by API are merged into the document, with problems that name them."""

from pathlib import Path

import pytest

from pointsman.config.compile import Checked, compile_document
from pointsman.config.load import load
from pointsman.config.resource import Resource
from pointsman.config.resource_kinds import KINDS
from pointsman.config.resources import API, FILE, listed, merge
from pointsman.config.source import parse

FILE_TEXT = b"""\
providers:
  openai: env.OPENAI_API_KEY
routing:
  rules:
    - {name: first, model: openai/gpt-4o}
governance:
  teams: {research: {}}
  require_key: false
"""
ENVIRON = {"OPENAI_API_KEY": "sk-of-the-tests"}


EXAMPLES: dict[str, tuple[str, object]] = {
    "provider": ("anthropic", {"keys": {"a": ""}}),
    "model": ("quick", ["openai/gpt-4o"]),
    "rule": ("up", {"name": "up", "model": "openai/gpt-4o"}),
    "customer": ("acme", {}),
    "team": ("sales", {}),
    "access_template": ("members", {"team": "sales"}),
    "default": ("virtual_key", {"each": "virtual_key", "budgets": [{"limit_usd": 5, "per": "day"}]}),
    "price": ("openai/gpt-4o", {"model": "openai/gpt-4o", "input_usd_per_million": 1, "output_usd_per_million": 2}),
}


def made(kind: str, name: str, spec: object) -> Resource:
    return Resource(kind=kind, name=name, spec=spec, created_at=1_796_046_740.0, author="somebody")


def compiled(*resources: Resource) -> Checked:
    return compile_document(load(FILE_TEXT, resources), Path(), ENVIRON)


def test_resources_are_compiled_with_the_file() -> None:
    checked = compiled(
        made("customer", "acme", {"budgets": [{"limit_usd": 5, "per": "day"}]}),
        made("team", "sales", {"customer": "acme"}),
        made("model", "quick", ["openai/gpt-4o"]),
        made(
            "price",
            "openai/gpt-4o",
            {"model": "openai/gpt-4o", "input_usd_per_million": 1, "output_usd_per_million": 2},
        ),
    )
    assert checked.compiled is not None, checked.problems
    assert checked.compiled.owners >= {"customer:acme", "team:sales", "team:research"}
    assert "quick" in checked.compiled.snapshot.models
    assert len(checked.compiled.resources) == 4


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_in_force_without_its_section_in_the_file(kind: str) -> None:
    name, spec = EXAMPLES[kind]
    others = [made("team", "sales", {})] if kind == "access_template" else []
    text = b"providers: {openai: env.OPENAI_API_KEY}\ngovernance: {require_key: false}\n"
    outcomes = [
        compile_document(load(text, resources), Path(), ENVIRON).compiled
        for resources in (others, [*others, made(kind, name, spec)])
    ]
    assert outcomes[0] is not None
    assert outcomes[1] is not None
    assert outcomes[0].snapshot.digest != outcomes[1].snapshot.digest, "workers tell the two apart"
    assert kind != "rule" or [one.name for one in outcomes[1].snapshot.rules] == [name]


def test_rules_made_by_api_follow_those_of_the_file_by_name() -> None:
    source, problems = merge(parse(FILE_TEXT), [made("rule", name, {"model": "x"}) for name in ("b", "a")])
    assert problems == []
    rules = source.data["routing"]["rules"]  # type: ignore[index]
    assert [rule["name"] for rule in rules] == ["first", "a", "b"]
    assert source.place(("routing", "rules", 2, "model")) == ("model", None)
    assert source.owner(("routing", "rules", 2, "model")) == "rule b"
    assert source.place(("routing", "rules", 0)) == ("routing.rules[0]", 5)


def test_name_in_both_places_is_a_problem_that_names_both() -> None:
    checked = compiled(made("team", "research", {}), made("rule", "first", {"model": "openai/gpt-4o"}))
    messages = [str(problem) for problem in checked.problems if problem.severity == "error"]
    assert len(messages) == 2
    assert "the team 'research' is in line 7 of the configuration file, and was also made by API on" in messages[1]
    assert "by somebody" in messages[1]
    assert "pointsman teams delete" in messages[1]
    assert checked.compiled is None


def test_problem_of_a_resource_names_it_and_its_field() -> None:
    checked = compiled(made("team", "sales", {"customer": "nobody", "budgets": [{"limit_usd": 0, "per": "day"}]}))
    found = {(one.resource, one.path, one.line) for one in checked.problems if one.severity == "error"}
    assert found == {("team sales", "customer", None), ("team sales", "budgets[0].limit_usd", None)}
    assert any(str(one).startswith("team sales: customer: unknown customer") for one in checked.problems)


def test_file_of_the_wrong_form_is_reported_and_not_merged() -> None:
    checked = compile_document(
        load(b"providers: {openai: env.A}\ngovernance: 5\n", [made("team", "x", {})]), Path(), {}
    )
    assert any("must be a mapping" in str(problem) for problem in checked.problems)


def test_listing_has_both_owners_by_name() -> None:
    found = listed(parse(FILE_TEXT), KINDS["team"], [made("team", "a", {}), made("model", "x", ["y/z"])])
    assert [(one.name, one.owner, one.line) for one in found] == [("a", API, None), ("research", FILE, 7)]


def test_default_limits_of_the_file_may_select_the_same() -> None:
    text = b"governance: {defaults: [{each: team}, {each: team, budgets: []}, {each: virtual_key}]}"
    found = listed(parse(text), KINDS["default"], [])
    assert [(one.name, one.spec) for one in found] == [
        ("team", {"each": "team"}),
        ("team (1)", {"each": "team", "budgets": []}),
        ("virtual_key", {"each": "virtual_key"}),
    ]
