"""Searches the model catalog for providers, capabilities and prices, and lists what a configuration can call."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pointsman.cli._options import AsJson, NoSecrets
from pointsman.cli._terminal import print_json, print_line, print_table

if TYPE_CHECKING:
    from pointsman.catalog.reader import ModelCatalog
    from pointsman.catalog.search import Found, Wanted

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
    "public": "List the public names of the configuration alone, with their targets and prices.",
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
    is_public: Annotated[bool, typer.Option("--public", help=_HELP["public"])] = False,
    no_secrets: NoSecrets = False,
    as_json: AsJson = False,
) -> None:
    """Search the models of the catalog, or list those that a configuration can call.

    Every line is one model at one provider: the model that the words name, then the cheapest. Nothing is sent. Exits
    with 1 if nothing is found. With `--callable` and `--public`, the configuration is that of `--config`, or the one
    that `serve` builds from the environment.
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
    if is_public:
        from pointsman.cli._public import list_public

        raise typer.Exit(list_public(config, wanted.words, reads_secrets=not no_secrets, as_json=as_json))
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
    if not found:
        print_line(_nothing(wanted, catalog), err=True)
    raise typer.Exit(0 if found else 1)


def _catalog(
    config: Path | None, data_dir: Path | None, *, reads_secrets: bool
) -> tuple[ModelCatalog, frozenset[str] | None]:
    """Return the catalog and the providers to search; `None` means all of them."""
    import os

    from pointsman.catalog.reader import ModelCatalog
    from pointsman.cli._overlay import over
    from pointsman.config.catalog import read_catalog
    from pointsman.config.overrides import default_data_dir

    if config is None:
        folder = data_dir or default_data_dir(os.environ)
        return over(read_catalog(folder).catalog, None, folder), None
    from pointsman.cli._configuration import compiled_or_exit

    compiled = compiled_or_exit(config, reads_secrets=reads_secrets)
    providers = {endpoint.catalog for endpoint in compiled.snapshot.endpoints.values()}
    if data_dir is None:
        catalog = compiled.snapshot.pricing.catalog
        assert isinstance(catalog, ModelCatalog), "configurations are compiled with one"
        return catalog, frozenset(providers - {""})
    return over(read_catalog(data_dir).catalog, config, data_dir), frozenset(providers - {""})


def _nothing(wanted: Wanted, catalog: ModelCatalog) -> str:
    """Return why a search found nothing, with names that are near."""
    from pointsman.catalog.search import Wanted, search
    from pointsman.config.problems import nearest
    from pointsman.routing.near_names import NearNames
    from pointsman.routing.wording import either

    known = list(catalog.providers())
    for one in sorted((wanted.providers or frozenset()) - set(known)):
        return f"the catalog has no provider {one!r}{nearest(one, known)}"
    if not wanted.words or search(catalog, Wanted(wanted.words)):
        return "no model meets all of these options; leave one out"
    near = NearNames(catalog.canonical_names()).near("-".join(wanted.words))
    return f"the catalog has no model {' '.join(wanted.words)!r}{f'; did you mean {either(near)}?' if near else ''}"


def _print(found: list[Found], catalog: ModelCatalog, *, sources: bool) -> None:
    from pointsman.cli._prices import age, note_on, usd_of

    numbers = ("context", "$ in", "$ cached", "$ out")
    today = datetime.now(UTC).date()
    lines: list[tuple[str, ...]] = []
    for one in found:
        facts = one.facts
        price = facts.price
        prices = usd_of(price, "input", "cache_read", "output")
        context = str(facts.context) if facts.context is not None else ""
        can = ", ".join(sorted(facts.capabilities))
        old = age(catalog.price_date(one.provider, one.model), today) if price is not None else ""
        source = catalog.price_source(one.provider, one.model)
        priced = ", ".join(word for word in (old, source if source != "catalog" else "") if word)
        note = note_on(price, facts)
        lines.append((facts.name, one.provider, one.model, context, *prices, note, priced, can))
    if found:
        print_table(("model", "provider", "provider's name", *numbers, "note", "price's age", "can"), lines, numbers)
        print_line(f"prices in dollars per million tokens, and by unit in the note; the catalog is of {catalog.date}")
    for one in found if sources else ():
        print_line(f"{one.provider}/{one.model}")
        for field, table_name in sorted(catalog.origins(one.provider, one.model).items()):
            print_line(f"  {field}: {catalog.sources[table_name]}")


def _as_data(one: Found, catalog: ModelCatalog, *, sources: bool) -> dict[str, object]:
    import msgspec

    from pointsman.cli._prices import note_on

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
        "price_source": catalog.price_source(one.provider, one.model),
        "priced_on": catalog.price_date(one.provider, one.model) if facts.price is not None else None,
        "note": note_on(facts.price, facts),
        "vouched": facts.vouched,
    }
    if sources:
        data["sources"] = catalog.origins(one.provider, one.model)
    return data
