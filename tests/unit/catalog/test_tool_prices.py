"""Prices of providers' own tools belong to existing providers and tools."""

import pytest

from pointsman.catalog.tool_prices import TOOL_MODELS, TOOL_PRICES
from pointsman.config.catalog import packaged


@pytest.mark.parametrize("provider", sorted({*TOOL_PRICES, *TOOL_MODELS}))
def test_every_provider_is_in_the_catalog(provider: str) -> None:
    assert provider in packaged().providers()


def test_every_model_uses_a_tool_with_a_price() -> None:
    for provider, models in TOOL_MODELS.items():
        for pattern, tool, count in models:
            assert tool in TOOL_PRICES[provider], pattern
            assert count > 0


def test_prices_are_below_ten_dollars_a_call() -> None:
    for tools in TOOL_PRICES.values():
        assert all(0 <= price.nano < 10 * 10**9 for price in tools.values())


def test_container_is_charged_once() -> None:
    assert TOOL_PRICES["openai"]["code_interpreter"].nano == 30_000_000
    assert TOOL_PRICES["openai"]["code_interpreter:64g"].once
