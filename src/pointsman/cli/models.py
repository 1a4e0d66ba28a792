"""Searches the model catalog for providers, capabilities and prices, and lists what a configuration can call."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pointsman.cli._options import AsJson, NoSecrets
from pointsman.cli._terminal import print_json, print_line, print_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pointsman.catalog.reader import ModelCatalog
    from pointsman.catalog.search import Found
    from pointsman.domain.units import UnitPrice

_HELP = {
    "query": "Words in the model's name or in a provider's name for it, in any order.",
    "can": "Only models with this feature: tools, parallel_tools, json_schema, vision, audio_in, audio_out, reasoning, "
    "prefill, prompt_cache, streaming_usage, pdf, web_search. May be repeated.",
    "provider": "Only this provider of the catalog. May be repeated.",
    "context": "Only models with at least this many tokens of context.",
    "price": "Only models up to this price, in dollars per million tokens, for a mix of three parts prompt and one "
    "part output.",
    "config": "Only models of the providers in this configuration file.",
    "data_dir": "The data folder, which may hold an installed catalog. Default: the one in the configuration file, or "
    "that of a gateway without a file.",
    "limit": "The largest number of lines; 0 prints all.",
    "callable": "List what this configuration can call: each model at each provider key, the names that a client may "
    "write, and why a model cannot be called. `--provider` then names a configured provider.",
    "sources": "Also print the source table of each field.",
}


def command(  # noqa: PLR0913, PLR0917 -- each parameter is an option
    query: Annotated[list[str] | None, typer.Argument(help=_HELP["query"], show_default=False)] = None,
    can: Annotated[list[str] | None, typer.Option("--can", help=_HELP["can"])] = None,
    provider: Annotated[list[str] | None, typer.Option("--provider", "-p", help=_HELP["provider"])] = None,
    context: Annotated[int | None, typer.Option("--context", min=1, help=_HELP["context"])] = None,
    price: Annotated[float | None, typer.Option("--max-usd", min=0, help=_HELP["price"])] = None,
    config: Annotated[Path | None, typer.Option("--config", "-c", help=_HELP["config"])] = None,
    data_dir: Annotated[Path | None, typer.Option("--data-dir", help=_HELP["data_dir"])] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=0, help=_HELP["limit"])] = 40,
    sources: Annotated[bool, typer.Option("--sources", help=_HELP["sources"])] = False,
    is_callable: Annotated[bool, typer.Option("--callable", help=_HELP["callable"])] = False,
    no_secrets: NoSecrets = False,
    as_json: AsJson = False,
) -> None:
    """Search the models of the catalog, cheapest first, or list those that a configuration can call.

    Every line is one model at one provider. Nothing is sent. Exits with 1 if nothing is found. With `--callable`, the
    configuration is that of `--config`, or the one that `serve` builds from the environment.
    """
    from msgspec.structs import replace

    from pointsman.catalog.search import CAPABILITIES, Wanted, search

    if unknown := set(can or []) - CAPABILITIES:
        raise typer.BadParameter(
            f"unknown: {min(unknown)!r}; use {', '.join(sorted(CAPABILITIES))}", param_hint="--can"
        )
    wanted = Wanted(
        tuple(query or ()),
        frozenset(can or ()),
        frozenset(provider) if provider else None,
        context,
        round(price * 1e6) if price is not None else None,
    )
    if is_callable:
        from pointsman.cli._callable import list_callable

        raise typer.Exit(list_callable(config, wanted, limit, reads_secrets=not no_secrets, as_json=as_json))
    catalog, providers = _catalog(config, data_dir, reads_secrets=not no_secrets)
    wanted = wanted if provider else replace(wanted, providers=providers)
    found = search(catalog, wanted)
    shown = found[:limit] if limit else found
    if as_json:
        print_json([_as_data(one, catalog, sources=sources) for one in shown])
    else:
        _print(shown, catalog, sources=sources)
        if len(found) > len(shown):
            print_line(f"{len(found) - len(shown)} more; narrow the search, or raise --limit", err=True)
    raise typer.Exit(0 if found else 1)


def _catalog(
    config: Path | None, data_dir: Path | None, *, reads_secrets: bool
) -> tuple[ModelCatalog, frozenset[str] | None]:
    """Return the catalog and the providers to search; `None` means all of them."""
    import os

    from pointsman.config.catalog import read_catalog
    from pointsman.config.overrides import default_data_dir

    if config is None:
        return read_catalog(data_dir or default_data_dir(os.environ)).catalog, None
    from pointsman.cli._configuration import compiled_or_exit

    compiled = compiled_or_exit(config, reads_secrets=reads_secrets)
    providers = {endpoint.catalog for endpoint in compiled.snapshot.endpoints.values()}
    return read_catalog(data_dir or compiled.settings.data_dir).catalog, frozenset(providers - {""})


def _print(found: list[Found], catalog: ModelCatalog, *, sources: bool) -> None:
    from pointsman.cli._callable import usd

    numbers = ("context", "$ in", "$ cached", "$ out")
    lines: list[tuple[str, ...]] = []
    for one in found:
        facts = one.facts
        price = facts.price
        rates = price.rates if price is not None and not price.only_units else None
        amounts = (rates.input, rates.cache_read, rates.output) if rates is not None else (None, None, None)
        context = str(facts.context) if facts.context is not None else ""
        can = ", ".join(sorted(facts.capabilities))
        of_units = ", ".join(f"{unit} {_range(prices)}" for unit, prices in price.units.items()) if price else ""
        lines.append((facts.name, one.provider, one.model, context, *map(usd, amounts), of_units, can))
    if found:
        print_table(("model", "provider", "provider's name", *numbers, "$ by unit", "can"), lines, numbers)
        print_line(f"prices in dollars per million tokens, and by unit, as of {catalog.date}; empty if unknown")
    for one in found if sources else ():
        print_line(f"{one.provider}/{one.model}")
        for field, table_name in sorted(catalog.origins(one.provider, one.model).items()):
            print_line(f"  {field}: {catalog.sources[table_name]}")


def _range(prices: Sequence[UnitPrice]) -> str:
    """Return the lowest and the highest price of a unit, in dollars."""
    amounts = sorted({one.pico / one.per / 1e12 for one in prices})
    return "-".join(f"{usd:g}" for usd in dict.fromkeys((amounts[0], amounts[-1])))


def _as_data(one: Found, catalog: ModelCatalog, *, sources: bool) -> dict[str, object]:
    import msgspec

    facts = one.facts
    data: dict[str, object] = {
        "name": facts.name,
        "provider": one.provider,
        "model": one.model,
        "context": facts.context,
        "max_output": facts.output,
        "capabilities": sorted(facts.capabilities),
        "lacks": sorted(facts.lacks),
        "modalities_in": list(facts.modalities_in),
        "modalities_out": list(facts.modalities_out),
        "deprecated_on": facts.deprecated_on,
        "region": facts.region,
        "price_pico_usd_per_token": msgspec.to_builtins(facts.price),
    }
    if sources:
        data["sources"] = catalog.origins(one.provider, one.model)
    return data
