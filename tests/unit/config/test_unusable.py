"""`check` warns about models and later work that budgets reject, and suggests a price."""

from typing import Any

import pytest

from fakes.configuration import ENVIRON, OPEN
from pointsman.config.compile import compile_document
from pointsman.config.load import load

BASE = """\
providers:
  local: {type: openai-compatible, base_url: "http://127.0.0.1:9/v1"}
models: {chat: {targets: [local/odd]}}
"""
BUDGET = "governance: {virtual_keys: {me: {value: env.ME, budgets: [{limit_usd: 5, per: day}]}}}\n"
SOFT = BUDGET.replace("limit_usd: 5", "soft: true, limit_usd: 5")
PRICED = "pricing: {overrides: [{model: local/odd, input_usd_per_million: 0, output_usd_per_million: 0}]}\n"
BY_REQUEST = PRICED.replace("}]}", ", per_request_usd: 0}]}")
BATCHES = BY_REQUEST.replace("local/odd", "local/")


def problems_of(tmp_path: Any, text: str) -> list[tuple[str, str]]:
    environ = {**ENVIRON, "ME": "pm-key-of-the-tests-me", "YOU": "pm-key-of-the-tests-you"}
    checked = compile_document(load((BASE + text).encode()), tmp_path, environ)
    assert checked.compiled is not None, checked.problems
    wanted = ("models.chat", "governance")
    return [(one.severity, one.message) for one in checked.problems if one.path in wanted]


def test_model_without_a_price_under_a_budget_is_a_warning(tmp_path: Any) -> None:
    found = problems_of(tmp_path, BUDGET)
    ((severity, message),) = [one for one in found if "local/odd" in one[1]]
    assert severity == "warning"
    assert message.startswith("the price of local/odd is unknown, so virtual key 'me'")
    assert "set its price in pricing.overrides, or 0 if it is free" in message


@pytest.mark.parametrize("text", [OPEN, SOFT, BUDGET + PRICED])
def test_free_or_unlimited_model_draws_no_warning(text: str, tmp_path: Any) -> None:
    assert not [one for one in problems_of(tmp_path, text) if "price of" in one[1]]


@pytest.mark.parametrize("allowed", ["allow_models: [other]", "providers: {elsewhere: {}}"])
def test_budget_of_a_key_without_access_draws_no_warning(allowed: str, tmp_path: Any) -> None:
    text = BUDGET.replace("value: env.ME", f"value: env.ME, {allowed}")
    base = BASE.replace("providers:", 'providers:\n  elsewhere: {type: vllm, base_url: "http://127.0.0.1:8/v1"}')
    checked = compile_document(load((base + text).encode()), tmp_path, {**ENVIRON, "ME": "pm-key-of-the-tests-me"})
    assert checked.compiled is not None, checked.problems
    assert not [one for one in checked.problems if "price of" in one.message]


def test_budget_of_a_provider_draws_a_warning(tmp_path: Any) -> None:
    base = BASE.replace('9/v1"', '9/v1", budgets: [{limit_usd: 5, per: day}]')
    checked = compile_document(load((base + OPEN).encode()), tmp_path, ENVIRON)
    assert checked.compiled is not None, checked.problems
    assert any("the budget of provider 'local' rejects it" in one.message for one in checked.problems)


def test_later_work_draws_one_warning_until_they_have_a_price(tmp_path: Any) -> None:
    two = BUDGET.replace("}}}", "}, you: {value: env.YOU, budgets: [{limit_usd: 5, per: day}]}}}")
    for text in (BUDGET, two):
        warnings = [one for one in problems_of(tmp_path, text + PRICED) if "fine-tuning" in one[1]]
        assert [severity for severity, _ in warnings] == ["warning"], "one warning for any number of keys"
        assert "{model: local/, input_usd_per_million: 0" in warnings[0][1], "the warning suggests a price"
    assert [one for one in problems_of(tmp_path, BUDGET + BY_REQUEST) if "fine-tuning" in one[1]], (
        "the price is for another model"
    )
    for model in ("local/", "local/*", "*"):
        text = BUDGET + BATCHES.replace("local/", repr(model))
        assert not [one for one in problems_of(tmp_path, text) if "fine-tuning" in one[1]]
    assert not [one for one in problems_of(tmp_path, SOFT) if "fine-tuning" in one[1]]
