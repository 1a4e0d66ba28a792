"""Merges tables into one catalog: each field comes from the first table that has it, and other values are noted."""

from collections import Counter
from collections.abc import Mapping, Sequence

from msgspec import Struct, field

from pointsman.catalog.names import key_of
from pointsman.domain.prices import ModelFacts
from tools.catalog.providers import ROWS
from tools.catalog.records import Draft, Record, Table
from tools.catalog.regions import region_of

# Prices change most, so the table that dates and cites them comes first. models.dev knows capabilities best.
PRICES = ("genai-prices", "litellm", "models.dev")
FIELDS = ("models.dev", "litellm", "genai-prices")
# Providers where publishers name their own models: these spellings become the canonical names.
_HOMES = (
    "openai", "anthropic", "gemini", "mistral", "cohere", "deepseek", "xai", "moonshot", "zai", "alibaba", "minimax",
    "perplexity", "voyage", "ai21", "upstage", "stepfun", "xiaomi", "inception", "arcee",
)  # fmt: skip
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


def merge(tables: Mapping[str, Table]) -> Merged:
    """Merge the tables into the catalog."""
    merged = Merged()
    by_lower: dict[tuple[str, str], tuple[str, str]] = {}
    for table in ("models.dev", "litellm"):
        for provider, model in tables[table]:
            by_lower.setdefault((provider, model.lower()), (provider, model))
    records = {
        name: {(provider, model.lower()): one for (provider, model), one in table.items()}
        for name, table in tables.items()
    }
    for folded, place in sorted(by_lower.items()):
        by_table = {name: table[folded] for name, table in records.items() if folded in table}
        _enter(merged, place, by_table)
    _name(merged)
    return merged


def _enter(merged: Merged, place: tuple[str, str], by_table: dict[str, Record]) -> None:
    provider, model = place
    origins: dict[str, str] = {}
    values: dict[str, object] = {}
    for name in ("context", "output", "modalities_in", "modalities_out", "deprecated_on"):
        opinions = [
            (table, by_table[table].plain()[name])
            for table in FIELDS
            if table in by_table and name in by_table[table].plain()
        ]
        if opinions:
            origins[name], values[name] = opinions[0]
            _compare(merged, place, name, opinions)
    can, lacks = _capabilities(merged, place, by_table, origins)
    writes_text = "text" in str(values.get("modalities_out", "text"))
    if writes_text and any(row.name == provider and row.reports_usage for row in ROWS):
        can.add("streaming_usage")
        origins["streaming_usage"] = "pointsman"
    price = _price(merged, place, by_table, origins)
    facts = ModelFacts(
        name=key_of(provider, model),
        price=price.price() if price is not None else None,
        capabilities=frozenset(can),
        lacks=frozenset(lacks),
        region=region_of(provider, model),
        unpriced="" if price is not None else _why_unpriced(by_table),
        vouched=sum(record.vouches for record in by_table.values()),
        **values,  # type: ignore[arg-type]
    )
    merged.entries[place] = facts
    merged.provenance[place] = origins


def _why_unpriced(by_table: Mapping[str, Record]) -> str:
    if any(record.price.rates for record in by_table.values()):
        return "the tables have 0, which may be a gap"
    return "no table has a price"


def _capabilities(
    merged: Merged, place: tuple[str, str], by_table: dict[str, Record], origins: dict[str, str]
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


def _price(
    merged: Merged, place: tuple[str, str], by_table: dict[str, Record], origins: dict[str, str]
) -> Draft | None:
    """Take the first table's rates. Other tables fill gaps if they agree with it on plain input and output, because
    rates of different dates do not form a price."""
    order = _order(*place)
    prices = [
        (table, by_table[table].price)
        for table in order
        if table in by_table and _counts(by_table[table].price, place[1])
    ]
    if not prices:
        return None
    table, price = prices[0]
    origins |= {f"price {name}": table for name in price.flat()}
    for other, draft in prices[1:]:
        theirs, ours = draft.flat(), price.flat()
        for name in sorted(theirs.keys() & ours.keys()):
            _compare(merged, place, f"price {name}", [(origins[f"price {name}"], ours[name]), (other, theirs[name])])
        if all(draft.rates.get(name, 0) == price.rates.get(name, 0) for name in ("input", "output")):
            _fill(price, draft)
            origins |= {f"price {name}": other for name in price.flat().keys() - ours.keys()}
    if price.request_nano:
        origins["price request"] = table
    return price


def _order(provider: str, model: str) -> tuple[str, ...]:
    """Return the order of tables. The patterns of genai-prices do not separate all regions, and litellm has converted
    the units of Databricks."""
    if region_of(provider, model) not in (None, "global"):
        return ("litellm", "genai-prices", "models.dev")
    return ("genai-prices", "models.dev", "litellm") if provider == "databricks" else PRICES


def _counts(price: Draft, model: str) -> bool:
    return price.is_stated or ("input" in price.rates and model.endswith(":free"))


def _fill(price: Draft, other: Draft) -> None:
    price.rates = other.rates | price.rates
    for tier, changes in other.tiers.items():
        if tier not in price.tiers:
            price.tiers[tier] = dict(changes)
            if tier in other.tiers_above:
                price.tiers_above[tier] = {start: dict(step) for start, step in other.tiers_above[tier].items()}
    if not price.above:
        price.above = {start: dict(step) for start, step in other.above.items()}
    elif price.above.keys() == other.above.keys():
        price.above = {start: other.above[start] | step for start, step in price.above.items()}


def _compare(merged: Merged, place: tuple[str, str], name: str, opinions: Sequence[tuple[str, object]]) -> None:
    if any(value != opinions[0][1] for _, value in opinions):
        merged.disagreements.append(Disagreement(*place, name, tuple(opinions)))


def _name(merged: Merged) -> None:
    """Give every model its canonical name, and list its places."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for place, facts in merged.entries.items():
        groups.setdefault(facts.name, []).append(place)
    for key, places in sorted(groups.items()):
        name = _canonical(key, places)
        for place in places:
            merged.entries[place] = _renamed(merged.entries[place], name)
        merged.names[key] = [name, *(f"{provider}/{model}" for provider, model in sorted(places))]


def _renamed(facts: ModelFacts, name: str) -> ModelFacts:
    facts = ModelFacts(**{field: getattr(facts, field) for field in ModelFacts.__struct_fields__} | {"name": name})
    return facts


def _canonical(key: str, places: list[tuple[str, str]]) -> str:
    """Return the publisher's spelling, else the most frequent one, that maps back to the key."""
    homes = sorted((model.lower() for home in _HOMES for provider, model in places if provider == home), key=len)
    wrapped = ("bedrock", "fireworks", "databricks", "cloudflare")  # their spellings are unique
    short = Counter(model.lower().rpartition("/")[2] for provider, model in places if provider not in wrapped)
    spellings = [home.rpartition("/")[2] for home in homes] + [spelling for spelling, _ in short.most_common()]
    return next((spelling for spelling in spellings if key_of("", spelling) == key), key)
