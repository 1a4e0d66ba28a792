"""Merges tables into one catalog: each field comes from the first table that has it, and other values are noted."""

from collections import Counter
from collections.abc import Mapping, Sequence

from msgspec import Struct, field
from msgspec.structs import replace

from pointsman.catalog.names import key_of
from pointsman.domain.prices import ModelFacts
from tools.catalog.forms import is_id
from tools.catalog.groups import CLOSED, HOMES, ByTable, Flag, Place, group
from tools.catalog.pi_ai import OWN_LISTS
from tools.catalog.prices import Offer, Outlier, chosen, without_implausible, without_outliers
from tools.catalog.providers import ROWS
from tools.catalog.records import Record, Table
from tools.catalog.regions import region_of
from tools.catalog.retirements import LISTS, retired_on

FIELDS = ("models.dev", "litellm", "pi-ai", "genai-prices")  # models.dev knows capabilities best
_KNOWABLE = (
    "tools",
    "json_schema",
    "vision",
    "audio_in",
    "audio_out",
    "reasoning",
    "prefill",
)  # a missing capability here means "no"


class Disagreement(Struct, frozen=True):
    """A disagreement of tables on one field. The first value is the one used."""

    provider: str
    model: str
    name: str
    values: tuple[tuple[str, object], ...]


class Merged(Struct):
    """The merged catalog. `provenance` records the source table of each entry and field."""

    entries: dict[tuple[str, str], ModelFacts] = field(default_factory=dict)
    provenance: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)
    names: dict[str, list[str]] = field(default_factory=dict)  # key: canonical name, then every `provider/model`
    disagreements: list[Disagreement] = field(default_factory=list)
    flags: list[Flag] = field(default_factory=list)
    rejected: list[Place] = field(default_factory=list)  # ids of a form that the provider's ids do not have
    outliers: list[Outlier] = field(default_factory=list)


def merge(tables: Mapping[str, Table]) -> Merged:
    """Merge the tables into the catalog."""
    merged = Merged()
    by_lower: dict[Place, Place] = {}
    for table in LISTS:
        for provider, model in tables.get(table, {}):
            by_lower.setdefault((provider, model.lower()), (provider, model))
    records = {
        name: {(provider, model.lower()): one for (provider, model), one in table.items()}
        for name, table in tables.items()
    }
    found: dict[Place, dict[str, Record]] = {}
    for folded, place in sorted(by_lower.items()):
        by_table = {name: table[folded] for name, table in records.items() if folded in table}
        if not is_id(*place):
            merged.rejected.append(place)
        else:
            found[place] = by_table
    groups = group(found)
    merged.flags = groups.flags
    offers = {place: _offer(merged, place, groups.keys[place], by_table) for place, by_table in found.items()}
    without_implausible(offers)
    merged.outliers = without_outliers(offers, groups.keys)
    for place, by_table in found.items():
        _enter(merged, place, by_table, offers[place], groups.keys[place])
    _retire_profiles(merged)
    _name(merged, groups.raw)
    return merged


def _retire_profiles(merged: Merged) -> None:
    """A profile of Bedrock retires with the model that it leads to."""
    for place, facts in merged.entries.items():
        base = ("bedrock", place[1].removeprefix(f"{facts.region}."))
        model = merged.entries.get(base)
        if place[0] != "bedrock" or base == place or model is None or model.deprecated_on is None:
            continue
        if facts.deprecated_on is None or facts.deprecated_on > model.deprecated_on:
            merged.entries[place] = replace(facts, deprecated_on=model.deprecated_on)
            merged.provenance[place] |= {"deprecated_on": merged.provenance[base]["deprecated_on"]}


def _offer(merged: Merged, place: Place, key: str, by_table: ByTable) -> Offer:
    """Choose the price of a model, and note what the tables disagree on."""
    offer = chosen(place, by_table, is_closed=CLOSED.search(key) is not None)
    for name, values in offer.disagreements:
        merged.disagreements.append(Disagreement(*place, name, values))
    return offer


def _enter(merged: Merged, place: Place, by_table: ByTable, offer: Offer, key: str) -> None:
    provider, model = place
    origins: dict[str, str] = {}
    values: dict[str, object] = {}
    for name in ("context", "output", "modalities_in", "modalities_out"):
        opinions = [
            (table, by_table[table].plain()[name])
            for table in FIELDS
            if table in by_table and name in by_table[table].plain()
        ]
        if opinions:
            origins[name], values[name] = opinions[0]
            _compare(merged, place, name, opinions)
    retirement = retired_on(provider, by_table)
    if retirement is not None:
        origins["deprecated_on"], values["deprecated_on"] = retirement
    can, lacks = _capabilities(merged, place, by_table, origins)
    writes_text = "text" in str(values.get("modalities_out", "text"))
    if writes_text and any(row.name == provider and row.reports_usage for row in ROWS):
        can.add("streaming_usage")
        origins["streaming_usage"] = "pointsman"
    merged.entries[place] = ModelFacts(
        name=key,
        price=offer.price,
        capabilities=frozenset(can),
        lacks=frozenset(lacks),
        region=region_of(provider, model),
        unpriced=offer.unpriced,
        vouched=_vouched(merged, place, by_table),
        **values,  # type: ignore[arg-type]
    )
    merged.provenance[place] = origins | offer.origins


def _vouched(merged: Merged, place: Place, by_table: ByTable) -> int:
    """Count the independent tables that list an id. Copies of models.dev count once, and a region of Azure has the
    tables of the model."""
    provider, model = place
    families = set()
    for table, record in by_table.items():
        if record.vouches:
            is_copy = (table == "pi-ai" and provider not in OWN_LISTS) or (table == "model-prices" and not record.page)
            families.add("models.dev" if is_copy else table)
    count = len(families)
    if provider == "azure" and "/" in model:
        base = merged.entries.get((provider, model.partition("/")[2]))
        count = max(count, base.vouched if base is not None else 0)
    return count


def _capabilities(
    merged: Merged, place: Place, by_table: ByTable, origins: dict[str, str]
) -> tuple[set[str], set[str]]:
    """Set a capability if any table reports it. Clear it if one table denies it and none reports it, because
    excluding a capable model is worse than a rejection by the provider."""
    can: set[str] = set()
    lacks: set[str] = set()
    for name in sorted({name for record in by_table.values() for name in record.capabilities}):
        opinions = [
            (table, by_table[table].capabilities[name])
            for table in FIELDS
            if table in by_table and name in by_table[table].capabilities
        ]
        opinions.sort(key=lambda opinion: not opinion[1])
        _compare(merged, place, name, opinions)
        origins[name] = opinions[0][0]
        if opinions[0][1]:
            can.add(name)
        elif name in _KNOWABLE:
            lacks.add(name)
        else:
            del origins[name]
    return can, lacks


def _compare(merged: Merged, place: Place, name: str, opinions: Sequence[tuple[str, object]]) -> None:
    if any(value != opinions[0][1] for _, value in opinions):
        merged.disagreements.append(Disagreement(*place, name, tuple(opinions)))


def _name(merged: Merged, raw: Mapping[Place, str]) -> None:
    """Give every model its canonical name, and list the places of each key."""
    groups: dict[str, list[Place]] = {}
    for place, facts in merged.entries.items():
        groups.setdefault(facts.name, []).append(place)
    for key, places in groups.items():
        name = _canonical(key, places)
        for place in places:
            merged.entries[place] = replace(merged.entries[place], name=name)
        merged.names[key] = [name, *(f"{provider}/{model}" for provider, model in sorted(places))]
    # A name that is no key any more, or a host's own meaning of a name, leads to the group of all that have it.
    meant: dict[str, set[str]] = {}
    for place, key in raw.items():
        if key not in groups:
            meant.setdefault(key, set()).add(key_of("", merged.entries[place].name))
    for place, facts in merged.entries.items():
        key = key_of("", place[1])
        is_taken = any(other.startswith(f"{key}@") for other in (*groups, *meant))
        if place[0] in HOMES and key not in groups and not is_taken:
            meant.setdefault(key, set()).add(key_of("", facts.name))
    for key, group_keys in meant.items():
        if len(group_keys) == 1:
            merged.names[key] = merged.names[group_keys.pop()]
    merged.names = dict(sorted(merged.names.items()))


def _canonical(key: str, places: list[Place]) -> str:
    """Return the publisher's spelling, else the most frequent one, that maps back to the key."""
    homes = sorted((model.lower() for home in HOMES for provider, model in places if provider == home), key=len)
    wrapped = ("bedrock", "fireworks", "databricks", "cloudflare")  # their spellings are unique
    short = Counter(model.lower().rpartition("/")[2] for provider, model in places if provider not in wrapped)
    spellings = [home.rpartition("/")[2] for home in homes] + [spelling for spelling, _ in short.most_common()]
    return next((spelling for spelling in spellings if key_of("", spelling) == key), key)
