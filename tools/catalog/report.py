"""Writes the reference page of the catalog: its contents, and the disagreements of its tables."""

from collections import Counter
from datetime import date

from tools.catalog.merge import Disagreement, Merged
from tools.catalog.providers import ROWS

_NOTICE = "<!-- Made by `make catalog`. Changes belong in tools/catalog. -->\n"
_USD = 1_000_000  # pico-dollars per token in a dollar per million tokens
LISTED = ("price input", "price output", "price cache_read", "price cache_write")


def page(merged: Merged, sources: dict[str, str], on: date) -> str:
    several = sum(len({place.partition("/")[0] for place in places[1:]}) > 1 for places in merged.names.values())
    per_provider = Counter(provider for provider, _ in merged.entries)
    priced = Counter(provider for (provider, _), facts in merged.entries.items() if facts.price is not None)
    lines = [
        _NOTICE,
        "# The model catalog\n",
        f"As of {on}: {len(merged.entries)} models at {len(per_provider)} providers, under {len(merged.names)}",
        f"canonical names that are still served, {several} of them by more than one provider.",
        "[Models](../models.md) explains its use.\n",
        "| table | |",
        "|---|---|",
        *(f"| {name} | {said} |" for name, said in sources.items()),
        "",
        "| provider | models | with a price |",
        "|---|---|---|",
        *(f"| {row.name} | {per_provider[row.name]} | {priced[row.name]} |" for row in ROWS if per_provider[row.name]),
        "",
        "## Disagreements of the tables\n",
        "The first value is the one used. A capability is present if any table reports it.\n",
        "| field | times |",
        "|---|---|",
        *(f"| {name} | {count} |" for name, count in Counter(map(_field, merged.disagreements)).most_common()),
        "",
        "Prices of plain and cached tokens, in dollars per million:\n",
        "| provider | model | field | used | other |",
        "|---|---|---|---|---|",
        *(_line(one) for one in merged.disagreements if one.name in LISTED),
    ]
    return "\n".join(lines) + "\n"


def _field(one: Disagreement) -> str:
    words = one.name.split()
    return f"price {words[-1]}, long prompts and tiers" if len(words) > 2 else one.name


def _line(one: Disagreement) -> str:
    said = [f"{int(str(value)) / _USD:g} ({table})" for table, value in one.said]
    return f"| {one.provider} | `{one.model}` | {one.name.removeprefix('price ')} | {said[0]} | {said[1]} |"
