"""Prints the differences between two model catalogs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pointsman.cli._terminal import print_json, print_line, print_table
from pointsman.domain.prices import Rates

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pointsman.catalog.diff import Differences, FieldChange, PriceChange
    from pointsman.catalog.reader import ModelCatalog


def print_differences(old: ModelCatalog, new: ModelCatalog, *, as_json: bool) -> None:
    """Compare the catalogs, and print the result."""
    from pointsman.catalog.diff import differences

    found = differences(old, new)
    if as_json:
        print_json(_as_data(old, new, found))
        return
    print_line(f"from {_named(old)}")
    print_line(f"to   {_named(new)}")
    if found.is_empty:
        print_line("no differences")
        return
    counts = (
        f"{len(found.added)} models more, {len(found.removed)} fewer, {len(found.prices)} changed rates, "
        f"{len(found.retirements)} changed retirements, {len(found.names)} changed names"
    )
    print_line(counts)
    _print_models("providers", found.providers_added, found.providers_removed)
    _print_models("models", map("/".join, found.added), map("/".join, found.removed), new)
    _print_prices(found.prices)
    _print_fields("retirements", found.retirements, "no date")
    _print_fields("canonical names", found.names, "none")


def _named(catalog: ModelCatalog) -> str:
    layers = ", with the overlay" if catalog.layers else ""
    return f"the catalog of {catalog.date}{layers} (sha256 {catalog.digest[:12]})"


def _print_models(
    title: str, added: Iterable[str], removed: Iterable[str], catalog: ModelCatalog | None = None
) -> None:
    lines = [f"  + {one}{_price(catalog, one)}" for one in added]
    lines += [f"  - {one}" for one in removed]
    if lines:
        print_line()
        print_line(title)
    for line in lines:
        print_line(line)


def _price(catalog: ModelCatalog | None, place: str) -> str:
    provider, _, model = place.partition("/")
    facts = catalog.find(provider, model) if catalog is not None else None
    if facts is None or facts.price is None or facts.price.only_units:
        return ""
    rates = facts.price.rates
    return f"  ${rates.input / 1e6:g} in, ${rates.output / 1e6:g} out per million tokens"


def _print_prices(changes: tuple[PriceChange, ...]) -> None:
    if not changes:
        return
    print_line()
    print_line("prices, in dollars per million tokens, or per unit")
    lines = []
    for one in changes:
        percent = "" if one.percent is None else f"{one.percent:+.0f} %"
        lines.append((one.provider, one.model, one.rate, _usd(one, one.old), _usd(one, one.new), percent))
    print_table(("provider", "model", "rate", "old", "new", "change"), lines, ("old", "new", "change"))


def _print_fields(title: str, changes: tuple[FieldChange, ...], missing: str) -> None:
    if not changes:
        return
    print_line()
    print_line(title)
    lines = [(one.provider, one.model, one.old or missing, one.new or missing) for one in changes]
    print_table(("provider", "model", "old", "new"), lines)


def _usd(one: PriceChange, pico: int | None) -> str:
    if pico is None:
        return "none"
    is_of_tokens = one.rate.rpartition(" ")[2] in Rates.__struct_fields__
    return f"{pico / (1e6 if is_of_tokens else 1e12):g}"


def _as_data(old: ModelCatalog, new: ModelCatalog, found: Differences) -> dict[str, object]:
    data = msgspec.to_builtins(found)
    for change, one in zip(data["prices"], found.prices, strict=True):
        change["percent"] = round(one.percent, 2) if one.percent is not None else None
    data["added"], data["removed"] = ["/".join(one) for one in found.added], ["/".join(one) for one in found.removed]
    return {
        "from": {"date": old.date, "sha256": old.digest},
        "to": {"date": new.date, "sha256": new.digest},
        **data,
    }
