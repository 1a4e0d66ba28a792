"""Rows of FOCUS have the required columns, and exact costs."""

import json
from typing import Any

from pointsman.money.focus import COLUMNS, NONE, focus_row

DAY = 1_793_491_200  # 2026-11-01
ROW: dict[str, Any] = {
    "day": DAY, "customer": "acme", "team": "research", "virtual_key": "me", "provider": "openai", "model": "gpt-4o",
    "attempts": 2, "tokens_in": 10, "tokens_out": 5, "tokens_cached": 1, "nano": 2**62 + 1, "estimated_nano": 3,
    "reserved_nano": 4,
}  # fmt: skip
# Columns that FOCUS 1.2 requires to have a value.
NOT_NULL = (
    "BilledCost", "BillingAccountId", "BillingAccountType", "BillingCurrency", "BillingPeriodEnd", "BillingPeriodStart",
    "ChargeCategory", "ChargePeriodEnd", "ChargePeriodStart", "ContractedCost", "EffectiveCost", "InvoiceIssuerName",
    "ListCost", "ProviderName", "PublisherName", "ServiceCategory", "ServiceName",
)  # fmt: skip


def test_row_has_all_columns_and_exact_costs() -> None:
    row = focus_row(ROW, DAY, DAY + 30 * 86_400)
    assert tuple(row) == COLUMNS
    assert not [name for name in NOT_NULL if row[name] in (None, "")]
    assert row["BilledCost"] == row["ListCost"] == "4611686018.427387905"
    assert row["x_EstimatedCost"] == "0.000000007"
    assert (row["BillingPeriodStart"], row["BillingPeriodEnd"]) == ("2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z")
    assert (row["ChargePeriodStart"], row["ChargePeriodEnd"]) == ("2026-11-01T00:00:00Z", "2026-11-02T00:00:00Z")
    assert (row["ConsumedQuantity"], row["ConsumedUnit"], row["SubAccountId"]) == (15, "Tokens", "research")
    assert json.loads(str(row["Tags"])) == {"customer": "acme", "team": "research", "virtual_key": "me"}


def test_keys_without_owners_have_an_account() -> None:
    row = focus_row({**ROW, "customer": "", "team": "", "virtual_key": ""}, DAY, DAY + 86_400)
    assert (row["BillingAccountId"], row["SubAccountId"], row["ResourceId"]) == (NONE, None, NONE)
