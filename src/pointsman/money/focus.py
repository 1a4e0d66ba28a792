"""Spending as rows of FOCUS 1.2, the FinOps Open Cost and Usage Specification (https://focus.finops.org).

A row is the use of one model by one virtual key on one day. The billing account is the customer, and the sub-account
the team. The gateway charges what the provider charges, so all four costs are the same.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from json import dumps

from pointsman.domain.dollars import dollars

ISSUER = "Pointsman"
NONE = "none"  # the account of keys without a customer: the column must not be empty
COLUMNS = (
    "BilledCost", "BillingAccountId", "BillingAccountName", "BillingAccountType", "BillingCurrency", "BillingPeriodEnd",
    "BillingPeriodStart", "ChargeCategory", "ChargeClass", "ChargeDescription", "ChargeFrequency", "ChargePeriodEnd",
    "ChargePeriodStart", "ConsumedQuantity", "ConsumedUnit", "ContractedCost", "ContractedUnitPrice", "EffectiveCost",
    "InvoiceId", "InvoiceIssuerName", "ListCost", "ListUnitPrice", "PricingCategory", "PricingQuantity", "PricingUnit",
    "ProviderName", "PublisherName", "RegionId", "RegionName", "ResourceId", "ResourceName", "ResourceType",
    "ServiceCategory", "ServiceName", "ServiceSubcategory", "SkuId", "SkuPriceId", "SubAccountId", "SubAccountName",
    "SubAccountType", "Tags", "x_TokensIn", "x_TokensOut", "x_TokensCached", "x_Attempts", "x_EstimatedCost",
)  # fmt: skip
_DAY_S = 86_400


def focus_row(row: Mapping[str, int | str], since: float, until: float) -> dict[str, str | int | None]:
    """Return the row of FOCUS for sums of one day, in the billing period from `since` up to `until` in Unix seconds.
    Fields that the gateway does not know are `None`."""
    day, nano = int(row["day"]), int(row["nano"])
    cost = _usd(nano)
    tokens = int(row["tokens_in"]) + int(row["tokens_out"])
    provider, model, key = str(row["provider"]), str(row["model"]), str(row["virtual_key"])
    team, customer = str(row["team"]), str(row["customer"]) or NONE
    found: dict[str, str | int | None] = dict.fromkeys(COLUMNS)
    found |= {
        "BilledCost": cost,
        "ContractedCost": cost,
        "EffectiveCost": cost,
        "ListCost": cost,
        "BillingAccountId": customer,
        "BillingAccountName": customer,
        "BillingAccountType": "Customer",
        "BillingCurrency": "USD",
        "BillingPeriodStart": _time(since),
        "BillingPeriodEnd": _time(until),
        "ChargeCategory": "Usage",
        "ChargeDescription": f"{model} at {provider} for the virtual key {key or NONE}",
        "ChargeFrequency": "Usage-Based",
        "ChargePeriodStart": _time(day),
        "ChargePeriodEnd": _time(day + _DAY_S),
        "ConsumedQuantity": tokens,
        "ConsumedUnit": "Tokens",
        "PricingCategory": "Standard",
        "PricingQuantity": tokens,
        "PricingUnit": "Tokens",
        "InvoiceIssuerName": ISSUER,
        "ProviderName": provider,
        "PublisherName": provider,
        "ResourceId": key or NONE,
        "ResourceName": key or NONE,
        "ResourceType": "Virtual Key",
        "ServiceCategory": "AI and Machine Learning",
        "ServiceSubcategory": "Generative AI",
        "ServiceName": provider,
        "SkuId": f"{provider}/{model}",
        "Tags": dumps({"team": team, "customer": str(row["customer"]), "virtual_key": key}, sort_keys=True),
        "x_TokensIn": int(row["tokens_in"]),
        "x_TokensOut": int(row["tokens_out"]),
        "x_TokensCached": int(row["tokens_cached"]),
        "x_Attempts": int(row["attempts"]),
        "x_EstimatedCost": _usd(int(row["estimated_nano"]) + int(row["reserved_nano"])),
    }
    if team:
        found |= {"SubAccountId": team, "SubAccountName": team, "SubAccountType": "Team"}
    return found


def _usd(nano: int) -> str:
    return dollars(nano, symbol="", decimals=9)


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
