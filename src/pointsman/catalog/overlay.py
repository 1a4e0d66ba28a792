"""Lays changes over a catalog: new models, other providers of a model, prices, limits, capabilities and retirements.

A layer is JSON, so that every process can read it without the libraries of the configuration. It has only differences:
each field that a change sets replaces that of the entry below, and the other fields stay.
"""

import re
from collections import defaultdict
from hashlib import sha256

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from pointsman.catalog.names import key_of
from pointsman.catalog.reader import CatalogError, CatalogFile, ListedModels, ModelCatalog, check_price
from pointsman.domain.prices import ModelFacts, Price

_PLACES = msgspec.json.Decoder(list[str])
_PLAIN = ("context", "output")


class EntryChange(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """The changed fields of one model at one provider. `name` is the canonical name, which providers of the same model
    share. `like` is a model whose fields a new entry takes over, except for its price and its retirement. An empty
    `deprecated_on` means that the model is not retired. `priced_on` is the day of the price, such as `2026-11-30`."""

    name: str | None = None
    like: str | None = None
    context: int | None = None
    output: int | None = None
    price: Price | None = None
    can: frozenset[str] = frozenset()
    cannot: frozenset[str] = frozenset()
    deprecated_on: str | None = None
    priced_on: str = ""


class Layer(Struct, frozen=True, kw_only=True):
    """Changes by `provider/model`, and the name of their source, such as `overlay`."""

    source: str
    changes: dict[str, EntryChange]


_LAYER = msgspec.json.Decoder(Layer)


def overlaid(catalog: ModelCatalog, layers: tuple[bytes, ...]) -> ModelCatalog:
    """Return the catalog with these layers over it. Each layer outranks those before it. Raises `CatalogError` for one
    that is faulty."""
    for content in layers:
        catalog = _overlaid(catalog, content)
    return catalog


def like_of(catalog: ModelCatalog, provider: str, like: str) -> ModelFacts | None:
    """Return the facts of a model that another is to be like: at the same provider, if it has the model."""
    if (facts := catalog.find(provider, like)) is not None:
        return facts
    prefix, _, rest = like.partition("/")
    if rest and (facts := catalog.find(prefix, rest)) is not None:
        return facts
    places = sorted(catalog.serving(like), key=lambda place: place[0] != provider)
    return catalog.find(*places[0]) if places else None


def same_at(catalog: ModelCatalog, provider: str, model: str) -> list[str]:
    """Return the ids by which the catalog has a model at this provider, if the given one is not among them. Those that
    differ only in case and punctuation come alone."""
    models = list(catalog.models(provider))
    if model in models:
        return []
    spelt = [one for one in models if _letters(one) == _letters(model)]
    key = key_of(provider, model)
    return spelt or [one for one in models if key_of(provider, one) == key]


def _letters(model: str) -> str:
    return "-".join(re.findall(r"[a-z0-9]+", model.lower()))


def _overlaid(catalog: ModelCatalog, content: bytes) -> ModelCatalog:
    try:
        layer = _LAYER.decode(content)
    except msgspec.DecodeError as error:
        raise CatalogError(f"the layer is not valid: {error}") from None
    editor = _Editor(catalog, layer.source)
    for place, change in layer.changes.items():
        editor.change(place, change)
    digest = sha256(f"{catalog.digest}\n".encode() + content).hexdigest()
    return catalog.changed(editor.file(), digest, content)


class _Editor:
    """The parts of a file while changes are laid over them. Parts without a change are shared."""

    def __init__(self, catalog: ModelCatalog, source: str) -> None:
        self._catalog = catalog
        self._source = source
        self._base = catalog.file
        self._models: dict[str, dict[str, Raw]] = {}
        self._names = dict(self._base.names)
        self._provenance = list(self._base.provenance)
        self._dates: dict[str, str] = {}
        self._keys: defaultdict[str, list[str]] = defaultdict(list)  # of each canonical name; a former name is one too
        for key, places in self._names.items():
            self._keys[_PLACES.decode(places)[0]].append(key)

    def file(self) -> CatalogFile:
        providers = dict(self._base.providers)
        for name, models in self._models.items():
            listed = providers.get(name, ListedModels((), {}))
            providers[name] = ListedModels(listed.hosts, models)
        sources = {source: f"{self._source}, {day}" if day else self._source for source, day in self._dates.items()}
        return replace(
            self._base,
            providers=providers,
            names=self._names,
            provenance=self._provenance,
            sources={**self._base.sources, **sources},
            dates={**self._base.dates, **{source: day for source, day in self._dates.items() if day}},
        )

    def change(self, place: str, change: EntryChange) -> None:
        provider, _, model = place.partition("/")
        if provider not in self._models:
            listed = self._base.providers.get(provider)
            self._models[provider] = dict(listed.models) if listed is not None else {}
        old = self._catalog.find(provider, model)
        facts = self._taken_over(provider, model, change) if old is None else old
        set_fields: dict[str, object] = {name: value for name in _PLAIN if (value := getattr(change, name)) is not None}
        if change.price is not None:
            set_fields |= {"price": change.price, "unpriced": ""}
        if change.deprecated_on is not None:
            set_fields["deprecated_on"] = change.deprecated_on or None
        if change.can or change.cannot:
            set_fields["capabilities"] = (facts.capabilities | change.can) - change.cannot
            set_fields["lacks"] = (facts.lacks | change.cannot) - change.can
        name = facts.name if change.name is None else self._canonical(change.name)
        facts = replace(facts, name=name, vouched=0, **set_fields)
        check_price(place, facts)
        origin = self._origin(provider, model, change, set_fields, is_new=old is None)
        self._models[provider][model] = Raw(msgspec.json.encode({**msgspec.to_builtins(facts), "from": origin}))
        self._rename(place, old.name if old is not None else "", name)

    def _taken_over(self, provider: str, model: str, change: EntryChange) -> ModelFacts:
        name = self._name_of(provider, model)
        if change.like is None:
            return ModelFacts(name=name)
        like = like_of(self._catalog, provider, change.like)
        if like is None:
            raise CatalogError(f"{provider}/{model} is like {change.like!r}, which the catalog does not know")
        return replace(like, name=name, price=None, deprecated_on=None, unpriced="")

    def _name_of(self, provider: str, model: str) -> str:
        """Return the canonical name of a new entry: the present one of its key, else the model's own."""
        key = key_of(provider, model)
        if key in self._names:
            return self._canonical(key)
        short = model.lower().rpartition("/")[2]
        return short if key_of("", short) == key else key

    def _canonical(self, name: str) -> str:
        """Return the canonical name that another spelling or a former name has; a new name is its own."""
        key = key_of("", name)
        return _PLACES.decode(self._names[key])[0] if key in self._names else name

    def _origin(
        self, provider: str, model: str, change: EntryChange, fields: dict[str, object], *, is_new: bool
    ) -> int:
        """Add the sources of an entry's fields, and return their number."""
        source = f"{self._source} {change.priced_on}".strip()
        self._dates[source] = change.priced_on
        found = {} if is_new else dict(self._catalog.origins(provider, model))
        if change.price is not None:
            found = {name: table for name, table in found.items() if not name.startswith("price ")}
            found |= {"price input": source, "price output": source}
        for name in fields.keys() - {"price", "unpriced", "capabilities", "lacks"}:
            found[name] = source
        for name in (*change.can, *change.cannot):
            found[name] = source
        self._provenance.append(found)
        return len(self._provenance) - 1

    def _rename(self, place: str, old: str, new: str) -> None:
        """Move an entry from the group of one canonical name to that of another."""
        for key in self._keys[old] if old != new else ():
            others = [one for one in _PLACES.decode(self._names[key]) if one != place]
            self._names[key] = Raw(msgspec.json.encode(others))
        if not self._keys[new]:
            self._keys[new].append(key_of("", new))
        for key in self._keys[new]:
            places = _PLACES.decode(self._names[key]) if key in self._names else [new]
            if place not in places[1:]:
                self._names[key] = Raw(msgspec.json.encode([*places, place]))
