"""Conditions are compiled, folded and evaluated; errors are values."""

import pytest

from pointsman.domain.rules import Value
from pointsman.routing.conditions.facts import Reference
from pointsman.routing.conditions.programs import FOLDED, Compiler, fold
from pointsman.routing.conditions.references import ConditionError


def value(source: str, **values: Value) -> object:
    """Return the value of a condition. `values` are those of plain variables."""
    compiler = Compiler()
    condition = compiler.declare(source, "rule")
    compiler.check(source, condition)
    names = {reference.fact: name for reference, name in compiler.variables.items()}
    return compiler.program(condition.text)(compiler.activate({names[fact]: one for fact, one in values.items()}))


def test_expressions_have_values() -> None:
    assert value("model == 'a' && stream", model="a", stream=True) is True
    assert value("model.matches('^a+$')", model="aaa") is True
    assert value("prompt_tokens * 2 > 10", prompt_tokens=5) is False
    assert value("in_cidr(client_ip, '10.0.0.0/8')", client_ip="10.1.1.1") is True
    assert value("in_cidr(client_ip, '10.0.0.0/8')", client_ip="no address") is False
    assert value("sticky(100, user)", user="u") is True


def test_errors_and_missing_values_are_texts() -> None:
    assert "divide by zero" in str(value("1 / prompt_tokens == 1", prompt_tokens=0))
    assert isinstance(value("model == 'a'"), str)
    assert value("model == 'a' || true") is True, "the missing value does not matter"


def test_first_true_condition_of_folded_ones_is_found() -> None:
    compiler = Compiler()
    sources = [f"prompt_tokens == {number} // comment" for number in range(FOLDED)]
    program = compiler.program(fold([compiler.declare(source, "rule") for source in sources]))
    (name,) = compiler.variables.values()
    assert [program(compiler.activate({name: number})) for number in (0, 3, FOLDED - 1, FOLDED)] == [0, 3, 9, -1]
    assert list(compiler.variables) == [Reference("prompt_tokens", "", "integer")]


def test_condition_without_facts_is_constant() -> None:
    compiler = Compiler()
    assert compiler.constant(compiler.declare("1 == 1", "rule")) is True
    assert compiler.constant(compiler.declare("1 == 2", "rule")) is False
    assert compiler.constant(compiler.declare("stream", "rule")) is None


def test_linear_patterns_only() -> None:
    """RE2 has no back references, and matches in linear time."""
    with pytest.raises(ConditionError, match="invalid escape sequence"):
        value(r"model.matches(r'(a)\1')", model="aa")
    assert value("model.matches('(a+)+$')", model="a" * 5000 + "b") is False
