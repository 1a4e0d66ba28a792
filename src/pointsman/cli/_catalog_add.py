"""Adds a model to the overlay of the catalog."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer
from msgspec import Struct

from pointsman.cli._terminal import print_line

if TYPE_CHECKING:
    from decimal import Decimal
    from pathlib import Path

    from pointsman.catalog.reader import ModelCatalog
    from pointsman.config.overlay_edit import Value
    from pointsman.config.snapshot_file import Compiled


class Added(Struct, frozen=True, kw_only=True):
    """The options of the command. Prices are dollars per million tokens."""

    model: str
    provider: str | None
    price_input: Decimal | None
    price_output: Decimal | None
    price_cached: Decimal | None
    context: int | None
    max_output: int | None
    can: list[str]
    cannot: list[str]
    like: str | None
    name: str | None
    retires_on: str | None


def add_model(added: Added, config: Path | None, data_dir: Path) -> None:
    """Add a model, or change its entry. Ends the process with status 1 if the overlay would be faulty."""
    from datetime import UTC, datetime

    from pointsman.cli._configuration import compiled_or_exit
    from pointsman.cli._overlay import file_of
    from pointsman.config.catalog import make_folder, read_catalog
    from pointsman.config.overlay import OverlayError, lay_over, read_overlay
    from pointsman.config.overlay_edit import with_model
    from pointsman.config.whole_file import write_whole

    compiled = compiled_or_exit(config, reads_secrets=False) if config is not None else None
    path = file_of(compiled, data_dir)
    catalog = read_catalog(data_dir).catalog
    place = _place(added, compiled, catalog)
    fields = _fields(added)
    if added.price_input is not None:
        fields["priced_on"] = datetime.now(UTC).date()
    try:
        content, overlay = with_model(read_overlay(path), place, fields, path)
        names = list(compiled.snapshot.endpoints) if compiled is not None else []
        changed = lay_over(catalog, overlay, path, names)
        if path.parent == data_dir / "catalog":
            make_folder(data_dir)
        write_whole(path, content)
    except OverlayError as error:
        for problem in error.problems:
            print_line(problem, err=True)
        print_line("nothing was changed", err=True)
        raise typer.Exit(1) from None
    except OSError as error:
        print_line(f"{path}: {error.strerror or error}", err=True)
        raise typer.Exit(1) from None
    _report(place, changed, path, compiled)


def _place(added: Added, compiled: Compiled | None, catalog: ModelCatalog) -> str:
    """Return `provider/model` in the words of the catalog."""
    provider, model = added.provider, added.model
    if provider is None:
        provider, slash, model = added.model.partition("/")
        if not slash:
            raise typer.BadParameter("name the provider: --provider PROVIDER", param_hint="--provider")
    endpoint = compiled.snapshot.endpoints.get(provider) if compiled is not None else None
    if endpoint is not None and endpoint.catalog:
        provider = endpoint.catalog
    if provider not in catalog.providers() and endpoint is None:
        from pointsman.config.problems import nearest

        known = [*catalog.providers(), *(compiled.snapshot.endpoints if compiled is not None else ())]
        message = f"neither the catalog nor the configuration has a provider {provider!r}{nearest(provider, known)}"
        raise typer.BadParameter(message, param_hint="--provider")
    return f"{provider}/{_known(added, provider, model, catalog)}"


def _known(added: Added, provider: str, model: str, catalog: ModelCatalog) -> str:
    """Return the catalog's id of a model that is given in another way, and say so."""
    from pointsman.catalog.overlay import same_at

    models = list(catalog.models(provider))
    for prefix in {f"{added.provider}/", f"{provider}/"}:
        rest = model.removeprefix(prefix)
        # Some providers have ids of their own in this form, such as openrouter/auto.
        if model not in models and (rest in models or not any(one.startswith(prefix) for one in models)):
            model = rest
    same = same_at(catalog, provider, model) if added.like is None and added.name is None else []
    if len(same) == 1:
        print_line(f"the catalog has {model} of {provider} as {same[0]}, so this entry is changed")
        return same[0]
    return model


def _fields(added: Added) -> dict[str, Value]:
    found: dict[str, Value | None] = {
        "name": added.name,
        "like": added.like,
        "context_tokens": added.context,
        "max_output_tokens": added.max_output,
        "can": list(added.can) or None,
        "cannot": list(added.cannot) or None,
        "input_usd_per_million": _number(added.price_input),
        "output_usd_per_million": _number(added.price_output),
        "cached_input_usd_per_million": _number(added.price_cached),
        "retires_on": added.retires_on,
    }
    return {name: value for name, value in found.items() if value is not None}


def _number(value: Decimal | None) -> int | float | None:
    if value is None:
        return None
    return int(value) if value == value.to_integral_value() else float(value)


def _report(place: str, catalog: ModelCatalog, path: Path, compiled: Compiled | None) -> None:
    from pointsman.cli._prices import described
    from pointsman.routing.wording import listed

    provider, _, model = place.partition("/")
    facts = catalog.find(provider, model)
    assert facts is not None, "it has been added"
    known = [described(facts)]
    if facts.context is not None:
        known.append(f"{facts.context:,} tokens of context")
    if facts.capabilities:
        known.append(f"can {', '.join(sorted(facts.capabilities))}")
    if facts.deprecated_on is not None:
        known.append(f"retires on {facts.deprecated_on}")
    print_line(f"{place} is in {path}: {'; '.join(known)}")
    others = sorted("/".join(one) for one in catalog.serving(facts.name) if one != (provider, model))
    same = f"; it is the same model as {listed(others, limit=4)}" if others else ""
    endpoints = compiled.snapshot.endpoints.items() if compiled is not None else ()
    if compiled is not None and not any(provider in (name, endpoint.catalog) for name, endpoint in endpoints):
        print_line(
            f"no provider of the configuration has the catalog of {provider}, so clients cannot request it there"
        )
    else:
        print_line(f"clients request it as {facts.name}{same}")
    if compiled is not None:
        print_line("a running gateway with this configuration loads it within seconds")
    else:
        print_line("a gateway without a configuration file loads it at SIGHUP; with one, name it with --config")
