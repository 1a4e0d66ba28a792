"""Reads the prices of `genai-prices` (MIT) for models that other tables know. Its own names are patterns, not
models."""

from datetime import UTC, date, datetime, time
from decimal import Decimal

from genai_prices.data import providers
from genai_prices.types import ConditionalPrice, ModelPrice, Provider, StartDateConstraint, TieredPrices
from genai_prices.types import ModelInfo as Model

from pointsman.domain.units import Unit, UnitPrice
from tools.catalog.providers import ROWS
from tools.catalog.records import Draft, Partial, Record, Table

_CLASSES = {
    "input_mtok": "input",
    "output_mtok": "output",
    "cache_read_mtok": "cache_read",
    "cache_write_mtok": "cache_write",
    "cache_write_1h_mtok": "cache_write_1h",
    "input_audio_mtok": "audio_in",
    "output_audio_mtok": "audio_out",
    "input_image_mtok": "image_in",
    "output_image_mtok": "image_out",
    "output_reasoning_mtok": "reasoning",
}
# Prices of other units: the field, the unit, and how many of them it is for.
_COUNTED: dict[str, tuple[Unit, int]] = {
    "audio_hours": ("second", 3600),
    "input_audio_hours": ("second", 3600),
    "input_mchars": ("character", 1_000_000),
    "input_document_kpages": ("page", 1000),
}
_TIERS = {("processing", "batch"): "batch", ("service_tier", "priority"): "priority", ("service_tier", "flex"): "flex",
          ("service_tier", "fast"): "fast", ("speed", "fast"): "fast"}  # fmt: skip


def read(known: set[tuple[str, str]], on: date) -> Table:
    """Return the prices in force on a day, for these models. If prices change with the hour, the highest counts,
    because a reservation must cover it."""
    by_id = {provider.id: provider for provider in providers}
    tables = {row.name: by_id[row.genai] for row in ROWS if row.genai}
    found: Table = {}
    for provider, model in sorted(known):
        if provider in tables:
            info = _find(tables[provider], model)
            if info is not None:
                is_own = any(info is one for one in tables[provider].models)
                record = Record(info.context_window, price=_draft(info, on, with_tiers=is_own))
                record.is_shared = not is_own
                if is_own:
                    record.title, record.note = info.name or "", info.price_comments or info.description or ""
                record.vouches = is_own
                found[provider, model] = record
    return found


def _find(provider: Provider, model: str) -> Model | None:
    return provider.find_model(model.lower(), all_providers=providers)


def _draft(info: Model, on: date, *, with_tiers: bool) -> Draft:
    """Build a draft. Service tiers belong to one provider, so a price shared with the publisher comes without them."""
    standard = _standard(info, on)
    per_request = standard.requests_kcount
    draft = Draft(request_nano=round(per_request * 1_000_000) if isinstance(per_request, Decimal) else 0)
    for kind, steps in _rates(standard).items():
        _add(steps, kind, draft.rates, draft.above)
    if not draft.has_tokens:
        draft.units = _units(standard)
    for variant in (info.price_variants or ()) if with_tiers else ():
        if isinstance(variant.constraint, StartDateConstraint) and variant.constraint.start_date > on:
            continue
        tier = _TIERS.get(next(iter(variant.when.items())))
        if tier is not None and len(variant.when) == 1:
            changes, above = draft.tiers.setdefault(tier, {}), draft.tiers_above.setdefault(tier, {})
            for kind, steps in _rates(variant.prices).items():
                if kind not in changes:  # the first matching price counts
                    _add(steps, kind, changes, above)
            # Fields missing in a tier equal those without a tier, at every length of the prompt.
            for start, plain in draft.above.items():
                missing = {kind: rate for kind, rate in plain.items() if kind not in changes}
                if missing:
                    above[start] = missing | above.get(start, {})
    draft.tiers_above = {tier: above for tier, above in draft.tiers_above.items() if above}
    return draft


def _add(steps: dict[int, int], kind: str, rates: Partial, above: dict[int, Partial]) -> None:
    for start, rate in steps.items():
        (above.setdefault(start, {}) if start else rates)[kind] = rate


def _standard(info: Model, on: date) -> ModelPrice:
    if isinstance(info.prices, ModelPrice):
        return info.prices
    return max((_at(info.prices, datetime.combine(on, time(hour, 15), UTC)) for hour in range(24)), key=_height)


def _at(prices: list[ConditionalPrice], now: datetime) -> ModelPrice:
    for price in reversed(prices):
        if price.constraint is None or price.constraint.active(now):
            return price.prices
    return prices[0].prices


def _height(price: ModelPrice) -> int:
    return _rates(price).get("input", {}).get(0, 0)


def _units(price: ModelPrice) -> dict[Unit, tuple[UnitPrice, ...]]:
    """Return the prices of other units than tokens."""
    found: dict[Unit, tuple[UnitPrice, ...]] = {}
    for name, (unit, count) in _COUNTED.items():
        value = getattr(price, name, None)
        if isinstance(value, Decimal) and value:
            pico = value * 10**12
            is_whole = not pico % count
            found[unit] = (UnitPrice(int(pico) // count) if is_whole else UnitPrice(round(pico), per=count),)
    return found


def _rates(price: ModelPrice) -> dict[str, dict[int, int]]:
    """Return the rates by class and by the number of input tokens from which they apply."""
    found: dict[str, dict[int, int]] = {}
    for name, kind in _CLASSES.items():
        value = getattr(price, name)
        if isinstance(value, TieredPrices):
            found[kind] = {0: _pico(value.base), **{tier.start + 1: _pico(tier.price) for tier in value.tiers}}
        elif value is not None:
            found[kind] = {0: _pico(value)}
    return found


def _pico(usd_per_million: Decimal) -> int:
    return round(usd_per_million * 1_000_000)
