"""Compares two catalogs: providers, models, canonical names, prices and retirements."""

from collections.abc import Iterator

from msgspec import Struct

from pointsman.catalog.reader import ModelCatalog
from pointsman.domain.prices import ModelFacts, Price, Rates

FAR = 3  # a factor that a price rarely changes by
Place = tuple[str, str]  # a provider of the catalog, and its name for a model


class PriceChange(Struct, frozen=True, kw_only=True):
    """A changed rate. `rate` is its name, such as `input` or `batch output`. Amounts are pico-dollars per token, or per
    unit if the name has one; `None` means that there is no such rate."""

    provider: str
    model: str
    rate: str
    old: int | None
    new: int | None

    @property
    def percent(self) -> float | None:
        """The change relative to the old amount."""
        return 100 * (self.new - self.old) / self.old if self.old and self.new is not None else None


class FieldChange(Struct, frozen=True, kw_only=True):
    """A changed day of retirement, or a changed canonical name."""

    provider: str
    model: str
    old: str | None
    new: str | None


class Losses(Struct, frozen=True, kw_only=True):
    """The models that an older catalog serves, and those that a newer one lacks, retires, has no price for, or has at
    a price that differs by a factor above `FAR`."""

    served: list[Place]
    missing: list[Place]
    retired: list[Place]
    unpriced: list[Place]
    repriced: list[Place]


class Differences(Struct, frozen=True, kw_only=True):
    """The differences of a newer catalog from an older one, each in the order of provider and model."""

    providers_added: tuple[str, ...]
    providers_removed: tuple[str, ...]
    added: tuple[Place, ...]
    removed: tuple[Place, ...]
    prices: tuple[PriceChange, ...]
    retirements: tuple[FieldChange, ...]
    names: tuple[FieldChange, ...]

    @property
    def is_empty(self) -> bool:
        return not any(getattr(self, field) for field in self.__struct_fields__)


def differences(old: ModelCatalog, new: ModelCatalog) -> Differences:
    """Compare every model at every provider."""
    before, after = dict(_entries(old)), dict(_entries(new))
    both = sorted(before.keys() & after.keys())
    pairs = [(place, before[place], after[place]) for place in both]
    return Differences(
        providers_added=tuple(sorted(set(new.providers()) - set(old.providers()))),
        providers_removed=tuple(sorted(set(old.providers()) - set(new.providers()))),
        added=tuple(sorted(after.keys() - before.keys())),
        removed=tuple(sorted(before.keys() - after.keys())),
        prices=tuple(change for place, mine, theirs in pairs for change in _prices(place, mine.price, theirs.price)),
        retirements=_fields(pairs, "deprecated_on"),
        names=_fields(pairs, "name"),
    )


def losses(old: ModelCatalog, new: ModelCatalog) -> Losses:
    """Compare the models that the old catalog still serves. Each is one provider's own name."""
    served, still = _served(old), _served(new)
    found = Losses(served=sorted(served), missing=[], retired=[], unpriced=[], repriced=[])
    for place in found.served:
        before, after = old.find(*place), new.find(*place)
        if after is None or before is None:
            found.missing.append(place)
            continue
        if place not in still:
            found.retired.append(place)
        if before.price is not None and after.price is None:
            found.unpriced.append(place)
        elif after.price is not None and _is_far(flat(before.price), flat(after.price)):
            found.repriced.append(place)
    return found


def _served(catalog: ModelCatalog) -> set[Place]:
    return {place for name in catalog.canonical_names() for place in catalog.serving(name)}


def _is_far(before: dict[str, int], after: dict[str, int]) -> bool:
    """Return whether a rate that both have is more than `FAR` times the other."""
    both = [(before[rate], after[rate]) for rate in before.keys() & after.keys()]
    return any(max(pair) > FAR * min(pair) for pair in both)


def _entries(catalog: ModelCatalog) -> Iterator[tuple[Place, ModelFacts]]:
    for provider in catalog.providers():
        for model in catalog.models(provider):
            facts = catalog.find(provider, model)
            if facts is not None:
                yield (provider, model), facts


def _fields(pairs: list[tuple[Place, ModelFacts, ModelFacts]], field: str) -> tuple[FieldChange, ...]:
    found = [(place, getattr(mine, field), getattr(theirs, field)) for place, mine, theirs in pairs]
    return tuple(
        FieldChange(provider=provider, model=model, old=old, new=new)
        for (provider, model), old, new in found
        if old != new
    )


def _prices(place: Place, old: Price | None, new: Price | None) -> Iterator[PriceChange]:
    before, after = flat(old), flat(new)
    for rate in dict.fromkeys((*before, *after)):
        if before.get(rate) != after.get(rate):
            yield PriceChange(provider=place[0], model=place[1], rate=rate, old=before.get(rate), new=after.get(rate))


def flat(price: Price | None) -> dict[str, int]:
    """Return all rates of a price by name, such as `above 272000 output`."""
    if price is None:
        return {}
    found = {} if price.only_units else _rates("", price.rates)
    for start, rates in price.above:
        found |= _rates(f"above {start} ", rates)
    for tier, rates in price.tiers.items():
        found |= _rates(f"{tier} ", rates)
    for tier, above in price.tiers_above.items():
        for start, rates in above:
            found |= _rates(f"{tier} above {start} ", rates)
    if price.request_nano:
        found["request"] = price.request_nano * 1000
    for unit, prices in price.units.items():
        for one in prices:
            kind = " ".join(word for word in (unit, one.quality, one.size) if word)
            found[kind] = one.pico // one.per
    return found


def _rates(prefix: str, rates: Rates) -> dict[str, int]:
    every = {name: getattr(rates, name) for name in rates.__struct_fields__}
    return {f"{prefix}{name}": amount for name, amount in every.items() if amount is not None}
