"""Amounts of money in the configuration are exact."""

from decimal import Decimal

import pytest
from pydantic import TypeAdapter, ValidationError

from pointsman.config.limits_schema import BudgetSettings, Usd

AMOUNT: TypeAdapter[Decimal] = TypeAdapter(Usd)


@pytest.mark.parametrize("written", [0.1, "0.1", 12, "0.000000001", 1e3])
def test_amount_is_taken_as_it_was_written(written: float | str) -> None:
    assert AMOUNT.validate_python(written) == Decimal(str(written))


@pytest.mark.parametrize("written", [0, -1, True, "a lot", "0.0000000001", None])
def test_other_values_are_rejected(written: object) -> None:
    with pytest.raises(ValidationError):
        AMOUNT.validate_python(written)


def test_budget_needs_a_limit_and_a_window() -> None:
    budget = BudgetSettings.model_validate({"limit_usd": 5, "per": "day"})
    assert budget.limit_usd == 5
    assert (budget.soft, budget.paced, budget.then) == (False, False, None)
    with pytest.raises(ValidationError):
        BudgetSettings.model_validate({"limit_usd": 5})
