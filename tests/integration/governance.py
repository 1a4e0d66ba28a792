"""Shared parts of tests of money: keys, limits and prices for a gateway in front of simulated providers, whose bill is
the oracle."""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from integration.gateway import Gateway
from pointsman.simulate import Settings
from pointsman.simulate.settings import Price

NANO = 1_000_000_000
INPUT_USD, OUTPUT_USD = "0.15", "0.6"  # per million tokens
PRICE = Price(input_pico=150_000, output_pico=600_000, cached_pico=75_000)


def key_value(name: str) -> str:
    return f"pm-key-of-the-tests-{name}"


def bearer(name: str) -> dict[str, str]:
    """Return the header that presents a key."""
    return {"authorization": f"Bearer {key_value(name)}"}


def virtual_key(name: str, **fields: Any) -> dict[str, Any]:
    return {"value": "sha256:" + sha256(key_value(name).encode()).hexdigest(), **fields}


def usd(limit: str | float, per: Any = "year", **fields: Any) -> list[dict[str, Any]]:
    """Return one budget."""
    return [{"limit_usd": limit, "per": per, **fields}]


def governance(keys: Mapping[str, Mapping[str, Any]], **fields: Any) -> dict[str, Any]:
    return {
        "require_key": True,
        "virtual_keys": {name: virtual_key(name, **entry) for name, entry in keys.items()},
    } | fields


def prices(*models: str, output_tokens: int | None = None, **usd_per_million: str) -> dict[str, Any]:
    """Return the section `pricing` for these `provider/model`s, by default at the prices of a simulated provider."""
    rates = {
        "input_usd_per_million": INPUT_USD,
        "output_usd_per_million": OUTPUT_USD,
        "cached_input_usd_per_million": "0.075",
        **usd_per_million,
    }
    bound = {"max_output_tokens": output_tokens} if output_tokens is not None else {}
    return {"overrides": [{"model": model, **rates, **bound} for model in models]}


def billed_nano(gateway: Gateway) -> int:
    """Return the total charges of the providers."""
    return sum(one.bill.totals().charged_nano for one in gateway.providers.values())


def settings(**fields: Any) -> Settings:
    """Return the settings of a provider that charges `PRICE`."""
    return Settings(price=PRICE, **fields)
