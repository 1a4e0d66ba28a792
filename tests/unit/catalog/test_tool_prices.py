"""The prices of providers' own tools are for providers and tools that exist."""

import pytest

from pointsman.catalog.tool_prices import TOOL_MODELS, TOOL_PRICES
from pointsman.config.catalog import packaged


@pytest.mark.parametrize("provider", sorted({*TOOL_PRICES, *TOOL_MODELS}))
def test_every_provider_is_one_of_the_catalogs(provider: str) -> None:
    assert provider in packaged().providers()


def test_every_model_uses_a_tool_with_a_price() -> None:
    for provider, models in TOOL_MODELS.items():
        for pattern, tool, count in models:
            assert tool in TOOL_PRICES[provider], pattern
            assert count > 0


def test_prices_are_below_ten_dollars_a_call() -> None:
    for tools in TOOL_PRICES.values():
        assert all(0 <= price.nano < 10 * 10**9 for price in tools.values())


def test_a_container_costs_once_whatever_runs_in_it() -> None:
    assert TOOL_PRICES["openai"]["code_interpreter"].nano == 30_000_000
    assert TOOL_PRICES["openai"]["code_interpreter:64g"].once
