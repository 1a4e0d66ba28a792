"""The `then` of a budget must be a model, and each key with such a budget must be allowed to use it."""

import json
from pathlib import Path

import pytest

from fakes.configuration import compiled, errors
from unit.config.test_default_limits import BASE, budget, digest

MODELS = "models: {thrifty: [groq/llama-3.3-70b-versatile]}\n"


def keyed(**fields: object) -> str:
    return BASE + f"  virtual_keys: {json.dumps({'a': {'value': digest('a'), **fields}})}\n" + MODELS


@pytest.mark.parametrize("then", ["thrifty", "groq/llama-3.3-70b-versatile"])
def test_model_and_public_name_are_accepted(then: str) -> None:
    (key,) = compiled(keyed(budgets=budget(1, then=then))).snapshot.virtual_keys.values()
    assert key.limits[0].then == then


def test_unknown_model_is_an_error_with_its_place() -> None:
    (problem,) = errors(keyed(budgets=budget(1, then="thirfty")))
    assert problem.startswith("governance.virtual_keys.a.budgets[0].then: unknown model 'thirfty'")
    assert "thrifty" in problem


def test_key_must_be_allowed_to_use_it() -> None:
    (problem,) = errors(keyed(budgets=budget(1, then="thrifty"), providers=["openai"]))
    assert problem.startswith("governance.virtual_keys.a: the budget of $1 per month of virtual key a falls to thrifty")
    assert "may not use provider groq" in problem
    compiled(keyed(budgets=budget(1, then="thrifty"), providers=["openai", "groq"]))


def test_key_must_find_it_compliant() -> None:
    (problem,) = errors(keyed(budgets=budget(1, then="thrifty"), require={"region": ["eu"]}))
    assert "which this key cannot use" in problem


def test_soft_budget_has_none() -> None:
    (problem,) = errors(keyed(budgets=budget(1, then="thrifty", soft=True)))
    assert problem.startswith("governance.virtual_keys.a.budgets[0].then: has no effect in a soft budget")


def test_keys_of_a_file_are_checked(tmp_path: Path) -> None:
    line = {"name": "k", "value": digest("k"), "budgets": budget(1, then="thrifty"), "providers": ["openai"]}
    (tmp_path / "keys.jsonl").write_text(json.dumps(line))
    (problem,) = errors(BASE + "  keys_file: keys.jsonl\n" + MODELS, folder=tmp_path)
    assert problem.startswith("governance.keys_file: the budget of $1 per month of virtual key k falls to thrifty")
