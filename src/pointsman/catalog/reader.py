"""Reads a catalog file: the models of each provider, with capabilities and prices.

The format is JSON with one entry per line. Loading decodes only the outline; an entry is decoded on first use. `names`
maps each key of `catalog.names` to the canonical name and to every `provider/model` of it. `dates` has the day of each
source table.
"""

from collections.abc import Iterator
from copy import copy
from datetime import date
from fnmatch import fnmatchcase
from hashlib import sha256

import msgspec
from msgspec import Raw, Struct

from pointsman.catalog.names import key_of
from pointsman.domain.prices import ModelFacts

FORMAT = 1
MAX_UNIT_PICO = 100 * 10**12
_MAX_ENTRIES = 16_384  # bounds the decoded entries, because clients choose the names


class CatalogError(ValueError):
    """The file is not a valid catalog. The message gives the reason."""


class ListedModels(Struct, frozen=True):
    """The models of one provider, undecoded. `hosts` are those of its addresses."""

    hosts: tuple[str, ...]
    models: dict[str, Raw]


class CatalogFile(Struct, frozen=True, kw_only=True):
    """The outline of a catalog."""

    format: int
    date: str
    sources: dict[str, str]
    provenance: list[dict[str, str]]
    providers: dict[str, ListedModels]
    names: dict[str, Raw]
    dates: dict[str, str] = {}


class _Entry(ModelFacts, frozen=True, omit_defaults=True):
    origin: int = msgspec.field(default=0, name="from")


class _Format(Struct):
    format: int


_FORMAT = msgspec.json.Decoder(_Format)
_FILE = msgspec.json.Decoder(CatalogFile)
_ENTRY = msgspec.json.Decoder(_Entry)
_PLACES = msgspec.json.Decoder(list[str])


class ModelCatalog:
    """A catalog in memory. Implements `domain.prices.Catalog`. `date` is the day of its construction; `digest`
    identifies its content."""

    def __init__(self, content: bytes, today: str | None = None) -> None:
        """Raise `CatalogError` if the content is not a catalog. A model that is retired `today`, such as `2026-12-31`,
        serves no name. Default: the day of the catalog."""
        try:
            if _FORMAT.decode(content).format != FORMAT:
                raise CatalogError(f"format {_FORMAT.decode(content).format} is unknown; this version reads {FORMAT}")
            self._file = _FILE.decode(content)
        except msgspec.DecodeError as error:
            raise CatalogError(f"the file is not a catalog: {error}") from None
        if not is_day(self._file.date):
            raise CatalogError(f"its date, {self._file.date}, is not a day, such as 2026-11-30")
        self.digest = sha256(content).hexdigest()
        self._today = today or self._file.date
        self._decoded: dict[tuple[str, str], _Entry | None] = {}
        self.layers: tuple[bytes, ...] = ()  # that lie over the file

    def changed(self, file: CatalogFile, digest: str, layer: bytes) -> "ModelCatalog":
        """Return a catalog with another outline, which a further layer has made."""
        made = copy(self)
        made._file, made._decoded = file, {}  # noqa: SLF001 -- an object of this class
        made.digest, made.layers = digest, (*self.layers, layer)
        return made

    @property
    def file(self) -> CatalogFile:
        return self._file

    @property
    def date(self) -> str:
        return self._file.date

    @property
    def sources(self) -> dict[str, str]:
        """Descriptions of the source tables, by the names that `origins` uses."""
        return self._file.sources

    def providers(self) -> Iterator[str]:
        return iter(self._file.providers)

    def provider_at(self, host: str) -> str | None:
        """Return the provider of this host or of a parent domain. A `*` in a catalog's host is any region."""
        for name, listed in self._file.providers.items():
            if any(host.endswith(f".{one}") or fnmatchcase(host, one) for one in listed.hosts):
                return name
        return None

    def models(self, provider: str) -> Iterator[str]:
        """Return the provider's names for its models."""
        listed = self._file.providers.get(provider)
        return iter(listed.models) if listed is not None else iter(())

    def find(self, provider_type: str, model: str) -> ModelFacts | None:
        return self._entry(provider_type, model)

    def name_of(self, model: str) -> str | None:
        """Return the canonical name of a model that may be given by any of its names."""
        places = self._places(model)
        return places[0] if places else None

    def key(self, provider: str, model: str) -> str:
        """Return a name in the form in which all spellings of a model are equal, those of this provider too."""
        return key_of(provider, model)

    def serving(self, model: str) -> list[tuple[str, str]]:
        """Return every provider that still serves a model, with the provider's own name for it. Any name of the model
        will do."""
        return [place for place in self._named(model) if not self._is_retired(*place)]

    def canonical_names(self) -> Iterator[str]:
        """Return the canonical names of all models that are still served."""
        for key, raw in self._file.names.items():
            if any(not self._is_retired(*place) for place in self._named(key)):
                yield _PLACES.decode(raw)[0]

    def origins(self, provider: str, model: str) -> dict[str, str]:
        """Return the source table of each field of an entry, such as `{"context": "models.dev", "price input": …}`."""
        entry = self._entry(provider, model)
        return self._file.provenance[entry.origin] if entry is not None else {}

    def price_source(self, provider_type: str, model: str) -> str:
        """Return where the price of a model is from: `catalog`, or the name of a layer; empty if it has none."""
        tables = self._price_tables(provider_type, model)
        if not tables:
            return ""
        table = tables[0]
        is_of_a_table = table in self._file.dates and " " not in table
        return "catalog" if is_of_a_table or not self.layers else table.partition(" ")[0]

    def price_date(self, provider: str, model: str) -> str | None:
        """Return the day of the table that has an entry's price."""
        dates = (self._file.dates.get(table) for table in self._price_tables(provider, model))
        return next((day for day in dates if day is not None), None)

    def _price_tables(self, provider: str, model: str) -> list[str]:
        """Return the source tables of a price, that of the input first."""
        found = [(name != "price input", name, table) for name, table in self.origins(provider, model).items()]
        return [table for _, name, table in sorted(found) if name.startswith("price ")]

    def validate(self) -> int:
        """Decode everything and return the number of entries. Raise `CatalogError` for the first faulty entry, and for
        a name without an entry."""
        count = 0
        for provider, listed in self._file.providers.items():
            for model in listed.models:
                entry = self._entry(provider, model)
                if entry is None or not 0 <= entry.origin < len(self._file.provenance):
                    raise CatalogError(f"cannot read the entry {provider}/{model}")
                check_price(f"{provider}/{model}", entry)
                count += 1
        for key in self._file.names:
            if self.name_of(self.name_of(key) or "") is None:
                raise CatalogError(f"{key} is not a valid key of a name")
            for provider, model in self._named(key):
                if self._entry(provider, model) is None:
                    raise CatalogError(f"{key} names {provider}/{model}, which has no entry")
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
                entry = _ENTRY.decode(raw)
            except msgspec.DecodeError as error:
                raise CatalogError(f"cannot read the entry {provider}/{model}: {error}") from None
            if len(self._decoded) < _MAX_ENTRIES:
                self._decoded[place] = entry
        return entry

    def _named(self, model: str) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        for place in self._places(model)[1:]:
            provider, _, name = place.partition("/")
            found.append((provider, name))
        return found

    def _is_retired(self, provider: str, model: str) -> bool:
        entry = self._entry(provider, model)
        return entry is not None and entry.deprecated_on is not None and entry.deprecated_on <= self._today

    def _places(self, model: str) -> list[str]:
        raw = self._file.names.get(key_of("", model))
        return _PLACES.decode(raw) if raw is not None else []


def is_day(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def check_price(place: str, entry: ModelFacts) -> None:
    """Raise `CatalogError` for a price that is out of bounds."""
    price = entry.price
    if price is None:
        return
    steps = [price.above, *price.tiers_above.values()]
    every = [price.rates, *price.tiers.values(), *(rates for above in steps for _, rates in above)]
    amounts = [getattr(rates, name) for rates in every for name in rates.__struct_fields__]
    of_units = [one for prices in price.units.values() for one in prices]
    if any(not 0 <= one.pico <= MAX_UNIT_PICO or one.per < 1 or one.least < 0 for one in of_units):
        raise CatalogError(f"{place} has a price outside 0 to 100 dollars per unit")
    if any(amount is not None and not 0 <= amount <= 10**12 for amount in (*amounts, price.request_nano)):
        raise CatalogError(f"{place} has a price outside 0 to 1 dollar per token")
    if any(start <= 0 for above in steps for start, _ in above):
        raise CatalogError(f"{place} has a price tier without a start")
