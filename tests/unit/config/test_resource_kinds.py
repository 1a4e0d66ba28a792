"""The kinds of resources: their places in the document, their names and their full forms."""

import pytest

from pointsman.config.json_schema import document_schema
from pointsman.config.resource_kinds import KINDS, default_name, price_name


def test_every_kind_has_its_section_in_the_schema_of_the_file() -> None:
    definitions = document_schema()["$defs"]
    assert all(kind.section in definitions for kind in KINDS.values())


@pytest.mark.parametrize(
    ("kind", "name", "is_valid"),
    [
        ("team", "research-2.x_y", True),
        ("team", "a b", False),
        ("team", "", False),
        ("team", "../etc", False),
        ("team", "x" * 65, False),
        ("model", "openai/gpt-4o", True),
        ("model", "two words", False),
        ("price", "openai/*;team=research", True),
    ],
)
def test_names_have_the_form_of_the_file(kind: str, name: str, is_valid: bool) -> None:
    assert (KINDS[kind].problem_with(name) is None) is is_valid


def test_short_forms_are_expanded() -> None:
    assert KINDS["provider"].full("openai", "sk-1") == {"keys": {"default": {"value": "sk-1"}}}
    assert KINDS["provider"].full("x", {"keys": {"a": "sk-1"}}) == {"keys": {"a": {"value": "sk-1"}}}
    assert KINDS["model"].full("quick", ["openai/gpt-4o"]) == {"strategy": "priority", "targets": ["openai/gpt-4o"]}
    assert KINDS["rule"].full("up", {"model": "quick"}) == {"name": "up", "model": "quick"}


def test_price_is_named_after_its_model_and_owner() -> None:
    assert price_name({"model": "openai/gpt-4o"}) == "openai/gpt-4o"
    assert price_name({"model": "openai/*", "team": "research"}) == "openai/*;team=research"


def test_default_limits_are_named_after_what_selects_them() -> None:
    assert default_name({"each": "team"}) == "team"
    assert default_name({"each": "team", "customer": "acme", "labels": {"b": "2", "a": "1"}}) == (
        "team;customer=acme;label.a=1;label.b=2"
    )
    unusual = [default_name({"each": "team", "labels": {"a": text}}) for text in ("x y", "x/y", "x" * 200)]
    assert all(one.startswith("team;selector-") for one in unusual)
    assert len(set(unusual)) == 3


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", [".", ".."])
def test_dots_are_no_name(kind: str, name: str) -> None:
    assert KINDS[kind].problem_with(name) is not None
