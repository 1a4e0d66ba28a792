"""Reads a catalog file: which models providers have, what they can do and what they cost.

The format is JSON with an entry on each line. Only its outline is read at once; an entry is decoded when it is asked
for. `names` has, for each key of `catalog.names`, the canonical name and every `provider/model` that is still served.
"""

from collections.abc import Iterator

import msgspec
from msgspec import Raw, Struct

from pointsman.catalog.names import key_of
from pointsman.domain.prices import ModelFacts

FORMAT = 1
_MAX_ENTRIES = 16_384  # kept decoded; names may come from clients


class CatalogError(ValueError):
    """A file that is no catalog. The message says why."""


class _Listed(Struct, frozen=True):
    hosts: tuple[str, ...]
    models: dict[str, Raw]


class _File(Struct, frozen=True):
    format: int
    date: str
    sources: dict[str, str]
    provenance: list[dict[str, str]]
    providers: dict[str, _Listed]
    names: dict[str, Raw]


class _Entry(ModelFacts, frozen=True, omit_defaults=True):
    origin: int = msgspec.field(default=0, name="from")


class _Format(Struct):
    format: int


_FORMAT = msgspec.json.Decoder(_Format)
_FILE = msgspec.json.Decoder(_File)
_ENTRY = msgspec.json.Decoder(_Entry)
_PLACES = msgspec.json.Decoder(list[str])


class ModelCatalog:
    """A catalog in memory. Implements `domain.prices.Catalog`. `date` is the day its prices are of, `digest` identifies
    its content."""

    def __init__(self, content: bytes, digest: str) -> None:
        """Raises `CatalogError`."""
        try:
            if _FORMAT.decode(content).format != FORMAT:
                raise CatalogError(f"it has format {_FORMAT.decode(content).format}, this version reads {FORMAT}")
            self._file = _FILE.decode(content)
        except msgspec.DecodeError as error:
            raise CatalogError(f"it is not a catalog: {error}") from None
        self.digest = digest
        self._decoded: dict[tuple[str, str], _Entry | None] = {}

    @property
    def date(self) -> str:
        return self._file.date

    @property
    def sources(self) -> dict[str, str]:
        """What the tables are that it was made from, by the names `origins` uses."""
        return self._file.sources

    def providers(self) -> Iterator[str]:
        return iter(self._file.providers)

    def provider_at(self, host: str) -> str | None:
        """The provider that has this host, or a host it is part of."""
        for name, listed in self._file.providers.items():
            if any(host == one or host.endswith(f".{one}") for one in listed.hosts):
                return name
        return None

    def models(self, provider: str) -> Iterator[str]:
        """The provider's names for what it has."""
        listed = self._file.providers.get(provider)
        return iter(listed.models) if listed is not None else iter(())

    def find(self, provider_type: str, model: str) -> ModelFacts | None:
        return self._entry(provider_type, model)

    def name_of(self, model: str) -> str | None:
        """The canonical name of the model that is asked for by any of its names."""
        places = self._places(model)
        return places[0] if places else None

    def serving(self, model: str) -> list[tuple[str, str]]:
        """Every provider, and its name for the model that is asked for by any of its names."""
        found: list[tuple[str, str]] = []
        for place in self._places(model)[1:]:
            provider, _, name = place.partition("/")
            found.append((provider, name))
        return found

    def canonical_names(self) -> Iterator[str]:
        """Of all models that are still served somewhere."""
        for raw in self._file.names.values():
            yield _PLACES.decode(raw)[0]

    def origins(self, provider: str, model: str) -> dict[str, str]:
        """Which table each field of an entry is from, such as `{"context": "models.dev", "price input": …}`."""
        entry = self._entry(provider, model)
        return self._file.provenance[entry.origin] if entry is not None else {}

    def validate(self) -> int:
        """Decode everything. Returns the number of entries; raises `CatalogError` for the first that is faulty, and for
        a name that leads nowhere."""
        count = 0
        for provider, listed in self._file.providers.items():
            for model in listed.models:
                entry = self._entry(provider, model)
                if entry is None or not 0 <= entry.origin < len(self._file.provenance):
                    raise CatalogError(f"the entry {provider}/{model} cannot be read")
                _check_price(f"{provider}/{model}", entry)
                count += 1
        for key in self._file.names:
            if self.name_of(self.name_of(key) or "") is None:
                raise CatalogError(f"{key} is no key of a name")
            for provider, model in self.serving(key):
                if self._entry(provider, model) is None:
                    raise CatalogError(f"{key} names {provider}/{model}, which is not there")
        return count

    def _entry(self, provider: str, model: str) -> _Entry | None:
        place = (provider, model)
        if place in self._decoded:
            return self._decoded[place]
        listed = self._file.providers.get(provider)
        raw = listed.models.get(model) if listed is not None else None
        entry = None
        if raw is not None:
            try:
                entry = msgspec.structs.replace(_ENTRY.decode(raw), version=f"catalog {self._file.date}")
            except msgspec.DecodeError as error:
                raise CatalogError(f"the entry {provider}/{model} cannot be read: {error}") from None
            if len(self._decoded) < _MAX_ENTRIES:
                self._decoded[place] = entry
        return entry

    def _places(self, model: str) -> list[str]:
        raw = self._file.names.get(key_of("", model))
        return _PLACES.decode(raw) if raw is not None else []


def _check_price(place: str, entry: ModelFacts) -> None:
    price = entry.price
    if price is None:
        return
    steps = [price.above, *price.tiers_above.values()]
    every = [price.rates, *price.tiers.values(), *(rates for above in steps for _, rates in above)]
    amounts = [getattr(rates, name) for rates in every for name in rates.__struct_fields__]
    if any(amount is not None and not 0 <= amount <= 10**12 for amount in (*amounts, price.request_nano)):
        raise CatalogError(f"{place} has a price outside of 0 to a dollar per token")
    if any(start <= 0 for above in steps for start, _ in above):
        raise CatalogError(f"{place} has a step of prices that starts nowhere")
