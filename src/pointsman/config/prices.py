"""Compiles `pricing` into prices."""

from collections.abc import Mapping
from decimal import Decimal

from msgspec.structs import asdict, replace

from pointsman.config.limits import nano_dollars
from pointsman.config.pricing_schema import PriceFields, PriceSettings
from pointsman.config.problems import Findings, nearest
from pointsman.config.schema import Document
from pointsman.config.source import Location
from pointsman.domain.batches import BATCH
from pointsman.domain.identity import VirtualKey, key_named
from pointsman.domain.prices import Price, Rates, ToolPrice
from pointsman.domain.snapshots import Names, PriceOverride, Pricing
from pointsman.domain.units import Unit, UnitPrice
from pointsman.routing.names import find


def compile_pricing(document: Document, names: Names, findings: Findings, keys: Mapping[bytes, VirtualKey]) -> Pricing:
    """Compile the prices, over the catalog of `names`. `keys` has the virtual keys, including those outside the
    document."""
    overrides: list[PriceOverride] = []
    for index, settings in enumerate(document.pricing.overrides):
        place: Location = ("pricing", "overrides", index)
        override = _override(settings, document, place, findings, keys)
        if override is not None:
            overrides.append(replace(override, model=_own_name(override.model, names)))
    return Pricing(document.pricing.unknown, tuple(overrides), names.catalog)


def _own_name(model: str, names: Names) -> str:
    """Return `provider/model` with the provider's own name of the model, if it is another spelling of it."""
    found = find(replace(names, siblings=False), model) if not _has_wildcard(model) else None
    ids = [item.id for item in found.targets] if found is not None else []
    return ids[0] if len(ids) == 1 and ids[0].startswith(f"{model.partition('/')[0]}/") else model


def _override(
    settings: PriceSettings, document: Document, place: Location, findings: Findings, keys: Mapping[bytes, VirtualKey]
) -> PriceOverride | None:
    governance = document.governance
    known_as: dict[str, Mapping[str, object]] = {
        "virtual_key": governance.virtual_keys,
        "team": governance.teams,
        "customer": governance.customers,
    }
    owners = [(kind, name, known) for kind, known in known_as.items() if (name := getattr(settings, kind)) is not None]
    if len(owners) > 1:
        findings.error(place, "set only one of virtual_key, team and customer")
    for kind, name, known in owners:
        if name not in known and not (kind == "virtual_key" and key_named(keys, name)):
            findings.error((*place, kind), f"unknown {kind.replace('_', ' ')} {name!r}{nearest(name, known)}")
    if "/" not in settings.model and not _has_wildcard(settings.model):
        findings.error((*place, "model"), "must be `provider/model`, or a pattern such as `openai/*`")
    provider = settings.model.partition("/")[0]
    if "/" in settings.model and provider not in document.providers and not _has_wildcard(provider):
        message = f"unknown provider {provider!r}{nearest(provider, document.providers)}"
        findings.error((*place, "model"), message)
    try:
        price = price_of(settings)
    except ValueError as error:
        findings.error(place, str(error))
        return None
    if settings.least_seconds and settings.audio_usd_per_minute is None:
        findings.error((*place, "least_seconds"), "set audio_usd_per_minute too")
    has_limits = settings.max_output_tokens is not None or settings.context_tokens is not None
    if price is None and not has_limits and not settings.tools_usd:
        message = "has no effect; set a price, max_output_tokens, context_tokens or tools_usd"
        findings.warning(place, message)
    owner = f"{owners[0][0]}:{owners[0][1]}" if owners else None
    tools = {name: ToolPrice(nano_dollars(usd)) for name, usd in settings.tools_usd.items()}
    return PriceOverride(
        model=settings.model,
        owner=owner,
        price=price,
        output=settings.max_output_tokens,
        context=settings.context_tokens,
        tools=tools,
    )


def price_of(settings: PriceFields) -> Price | None:
    """Return the price that some settings set; `None` if they set none. Raises `ValueError` for an incomplete one."""
    units = _unit_prices(settings)
    of_tokens = (name for name in PriceFields.model_fields if "usd_per_million" in name and "character" not in name)
    has_rates = any(getattr(settings, name) is not None for name in of_tokens)
    has_tokens = settings.input_usd_per_million is not None and settings.output_usd_per_million is not None
    if not has_tokens and not (units and not has_rates):
        if has_rates or settings.per_request_usd is not None or settings.batch_percent is not None:
            raise ValueError("set both input_usd_per_million and output_usd_per_million; 0 means free")
        return None
    per_request = settings.per_request_usd
    rates, percent = _rates(settings), settings.batch_percent
    return Price(
        rates,
        tiers={BATCH: _part_of(rates, percent)} if percent is not None else {},
        request_nano=nano_dollars(per_request or Decimal(0)),
        is_by_request=per_request is not None,
        units=units,
        only_units=not has_tokens,
    )


def _unit_prices(settings: PriceFields) -> dict[Unit, tuple[UnitPrice, ...]]:
    """Return the prices of other units than tokens."""
    found: dict[Unit, tuple[UnitPrice, ...]] = {}
    images = settings.per_image_usd
    if images is not None:
        by_kind = images if isinstance(images, dict) else {"": images}
        found["image"] = tuple(_image_price(kind, usd) for kind, usd in by_kind.items())
    if settings.audio_usd_per_minute is not None:
        nano, least = nano_dollars(settings.audio_usd_per_minute), settings.least_seconds
        found["second"] = (UnitPrice(nano * 1000, per=60, least=least),)
    if settings.characters_usd_per_million is not None:
        found["character"] = (UnitPrice(_pico(settings.characters_usd_per_million) or 0),)
    for unit, usd in _PLAIN.items():
        if (price := getattr(settings, usd)) is not None:
            found[unit] = (UnitPrice(nano_dollars(price) * 1000),)
    return found


_PLAIN: dict[Unit, str] = {"page": "per_page_usd", "search": "per_search_usd"}


def _image_price(kind: str, usd: Decimal) -> UnitPrice:
    quality, _, size = kind.rpartition(" ") if kind[-1:].isdigit() else (kind, "", "")
    return UnitPrice(nano_dollars(usd) * 1000, quality=quality, size=size)


def _has_wildcard(pattern: str) -> bool:
    return any(mark in pattern for mark in "*?[")


def _rates(settings: PriceFields) -> Rates:
    return Rates(
        input=_pico(settings.input_usd_per_million) or 0,
        output=_pico(settings.output_usd_per_million) or 0,
        cache_read=_pico(settings.cached_input_usd_per_million),
        cache_write=_pico(settings.cache_write_usd_per_million),
        cache_write_1h=None,
        audio_in=_pico(settings.audio_input_usd_per_million),
        audio_out=_pico(settings.audio_output_usd_per_million),
        image_in=_pico(settings.image_input_usd_per_million),
        image_out=_pico(settings.image_output_usd_per_million),
        reasoning=_pico(settings.reasoning_usd_per_million),
    )


def _part_of(rates: Rates, percent: int) -> Rates:
    """Return so much of the rates, rounded up."""
    known = {name: rate for name, rate in asdict(rates).items() if rate is not None}
    return Rates(**{name: -(-rate * percent // 100) for name, rate in known.items()})


def _pico(usd_per_million: Decimal | None) -> int | None:
    """Convert to pico-dollars per token: one dollar per million tokens is a million pico-dollars."""
    return int(usd_per_million * 1_000_000) if usd_per_million is not None else None
