"""Compares two catalogs: providers, models, canonical names, prices and retirements."""

from collections.abc import Iterator

from msgspec import Struct

from pointsman.catalog.reader import ModelCatalog
from pointsman.domain.prices import ModelFacts, Price, Rates

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


def missing(old: ModelCatalog, new: ModelCatalog) -> tuple[int, list[Place]]:
    """Return the number of models that the old catalog still serves, and those of them that the new one lacks."""
    served = [place for name in old.canonical_names() for place in old.serving(name)]
    return len(served), sorted(place for place in served if new.find(*place) is None)


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
