"""The catalog and `genai-prices` agree on the cost of usages; the latter works with decimals and formulas of its own.

They may differ in three cases: rates from another table, rates of a region, and the hours of the day, of which the
catalog takes the highest. Everything else is equal within a nano-dollar per class of tokens.
"""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from genai_prices import Usage as TheirUsage
from genai_prices.data import providers
from genai_prices.types import ModelInfo, Provider, TimeOfDateConstraint
from tools.catalog.providers import ROWS

import pointsman.catalog.reader
from pointsman.catalog.reader import ModelCatalog
from pointsman.domain.outcomes import Usage
from pointsman.domain.prices import ModelFacts, Rates
from pointsman.money.pricing import cost_nano

FILE = Path(pointsman.catalog.reader.__file__).with_name("models.json")
IN = 100_000
OUT = 20_000
# A part of each class, and all of them at once.
PARTS: dict[str, tuple[Usage, dict[str, int]]] = {
    "plain": (Usage(IN, OUT), {}),
    "cache_read": (Usage(IN, OUT, tokens_cached=40_001), {"cache_read_tokens": 40_001}),
    "cache_write": (Usage(IN, OUT, tokens_cache_write=30_003), {"cache_write_tokens": 30_003}),
    "cache_write_1h": (
        Usage(IN, OUT, tokens_cache_write_1h=20_007),
        {"cache_write_tokens": 20_007, "cache_write_1h_tokens": 20_007},
    ),
    "audio_in": (Usage(IN, OUT, audio_in=10_009), {"input_audio_tokens": 10_009}),
    "audio_out": (Usage(IN, OUT, audio_out=5_003), {"output_audio_tokens": 5_003}),
    "image_in": (Usage(IN, OUT, image_in=7_001), {"input_image_tokens": 7_001}),
    "image_out": (Usage(IN, OUT, image_out=3_001), {"output_image_tokens": 3_001}),
    "reasoning": (Usage(IN, OUT, tokens_reasoning=6_007), {"output_reasoning_tokens": 6_007}),
    "short of the step": (Usage(200_000, OUT), {"input_tokens": 200_000}),
    "above a step": (
        Usage(400_000, OUT, tokens_cached=100_001),
        {"input_tokens": 400_000, "cache_read_tokens": 100_001},
    ),
}
TIERS: dict[str, dict[str, str]] = {
    "batch": {"processing": "batch"},
    "flex": {"service_tier": "flex"},
    "priority": {"service_tier": "priority"},
}


@pytest.fixture(scope="module")
def catalog() -> ModelCatalog:
    return ModelCatalog(FILE.read_bytes())


def priced(catalog: ModelCatalog) -> Iterator[tuple[str, str, ModelFacts, Provider, ModelInfo]]:
    """Return every model that both tables have a price for."""
    by_id = {provider.id: provider for provider in providers}
    for row in ROWS:
        for model in catalog.models(row.name) if row.genai else ():
            facts = catalog.find(row.name, model)
            info = by_id[row.genai].find_model(model.lower(), all_providers=providers)
            if facts is not None and facts.price is not None and info is not None:
                yield row.name, model, facts, by_id[row.genai], info


def explanation(facts: ModelFacts, origins: dict[str, str], part: str, tier: str | None) -> str | None:
    if origins["price input"] != "genai-prices":
        return "another table knows the region" if facts.region is not None else "they have no rate for tokens"
    theirs = ("", f"{tier} ") if tier is not None else ("",)
    classes = [part] if part in ("plain", *Rates.__struct_fields__) else ["cache_read"]
    if part == "cache_write_1h":
        classes.append("cache_write")
    for prefix in theirs:
        for name in ("input", "output", *classes):
            if origins.get(f"price {prefix}{name}", "genai-prices") != "genai-prices":
                return "another table adds this class"
    if tier is not None and any(
        name.startswith(f"price {tier}") and table != "genai-prices" for name, table in origins.items()
    ):
        return "another table adds this tier"
    if any(name.startswith("price above") and table != "genai-prices" for name, table in origins.items()):
        return "another table adds this step"
    return None


def has_fine_rates(info: ModelInfo) -> bool:
    """Fine rates, such as a third of a unit, are rounded by the catalog to whole pico-dollars per token."""
    prices = info.get_prices(datetime(2026, 11, 25, 12, tzinfo=UTC))
    return any(isinstance(rate, Decimal) and rate * 10**6 % 1 for rate in vars(prices).values())


def their_nano(info: ModelInfo, provider: Provider, extra: dict[str, int], tier: str | None) -> list[float]:
    """Return the highest price of the day, which is the one that the catalog uses."""
    usage = TheirUsage(**({"input_tokens": IN, "output_tokens": OUT} | extra))
    by_hour = isinstance(info.prices, list) and any(
        isinstance(price.constraint, TimeOfDateConstraint) for price in info.prices
    )
    hours = range(24) if by_hour else (12,)
    return [
        float(
            info.calc_price(
                usage,
                provider,
                genai_request_timestamp=datetime(2026, 11, 25, hour, 15, tzinfo=UTC),
                price_context=TIERS[tier] if tier is not None else None,
            ).total_price
        )
        * 1e9
        for hour in hours
    ]


def test_usages_cost_the_same(catalog: ModelCatalog) -> None:
    compared: Counter[str] = Counter()
    explained: Counter[str] = Counter()
    wrong: list[str] = []
    for provider, model, facts, their_provider, info in priced(catalog):
        assert facts.price is not None
        origins = catalog.origins(provider, model)
        for part, (usage, extra) in PARTS.items():
            for tier in (None, *TIERS):
                if tier is not None and tier not in facts.price.tiers:
                    continue
                asked = Usage(**{name: getattr(usage, name) for name in usage.__struct_fields__} | {"tier": tier})
                ours = cost_nano(facts.price, asked)
                theirs = max(their_nano(info, their_provider, extra, tier))
                if abs(ours - theirs) <= 1:
                    compared[f"{part} {tier or ''}".strip()] += 1
                elif abs(ours - theirs) <= (usage.tokens_in + usage.tokens_out) / 2000 and has_fine_rates(info):
                    explained["their rate is finer than a pico-dollar per token"] += 1
                elif (why := explanation(facts, origins, part, tier)) is not None:
                    explained[why] += 1
                else:
                    wrong.append(f"{provider}/{model} {part} {tier}: {ours} and {theirs}")
    print(f"{sum(compared.values())} costs equal, {sum(explained.values())} explained: {dict(explained)}")
    assert not wrong, "\n".join(wrong[:20])
    assert sum(compared.values()) >= 200
    assert {*PARTS, "plain batch", "plain flex", "plain priority", "above a step flex"} <= compared.keys()
    assert sum(explained.values()) < sum(compared.values()) / 4, explained
