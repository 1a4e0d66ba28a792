"""Checks a configuration file and prints a summary of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pointsman.cli._options import NoSecrets
from pointsman.cli._terminal import print_json, print_line

if TYPE_CHECKING:
    from pointsman.config.compile import Checked
    from pointsman.config.snapshot_file import Compiled
    from pointsman.domain.prices import Price
    from pointsman.domain.snapshots import PublicModel, Snapshot
    from pointsman.domain.targets import Candidate


def command(
    file: Annotated[Path | None, typer.Argument(help="The configuration file.", show_default=False)] = None,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", metavar="FILE", help="The same file, in the words of `serve`.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Treat warnings as errors.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    no_secrets: NoSecrets = False,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON Schema of the file and exit.")] = False,
) -> None:
    """Check a configuration file. Print every problem with its line, then a summary of the configuration.

    Exits with 0 if the file is usable and with 1 if it is not. The command starts nothing and calls no provider. The
    secrets that the file refers to must exist, except with --no-secrets.
    """
    import os

    from pointsman.config.compile import compile_file
    from pointsman.config.json_schema import document_schema
    from pointsman.config.problems import render

    if schema:
        print_json(document_schema())
        return
    if file is not None and config is not None:
        raise typer.BadParameter("a file is given too; name the file once", param_hint="--config")
    file = file or config
    if file is None:
        raise typer.BadParameter("no file given; name the file to check", param_hint="FILE")
    checked = compile_file(file, os.environ, reads_secrets=not no_secrets)
    severities = [problem.severity for problem in checked.problems]
    failed = checked.compiled is None or (strict and "warning" in severities)
    if as_json:
        print_json(_as_data(checked, failed=failed))
    else:
        for line in render(checked.problems, str(file)):
            print_line(line)
        counts = [_count(severities.count("error"), "error"), _count(severities.count("warning"), "warning")]
        print_line(f"{file}: {'not usable' if checked.compiled is None else 'usable'}, {', '.join(counts)}")
        if checked.compiled is not None:
            for line in _summary(checked.compiled):
                print_line(line)
    raise typer.Exit(1 if failed else 0)


def _count(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"


def _summary(compiled: Compiled) -> list[str]:
    snapshot, settings = compiled.snapshot, compiled.settings
    lines = ["", f"listens on   {settings.listen}{' with TLS' if settings.tls else ''}"]
    if snapshot.require_key:
        lines.append(f"accepts      {_count(_keys_in(snapshot), 'virtual key')}")
    else:
        lines.append("accepts      any client on this machine, without a key")
    lines.append("providers")
    for endpoint in snapshot.endpoints.values():
        kind = "only" if endpoint.serves_only else "also"
        serves = f", serves {kind} {', '.join(endpoint.serves)}" if endpoint.serves else ""
        usable = sum(key.weight > 0 for key in endpoint.keys)
        keys = _count(usable, "key")
        lines.append(f"  {endpoint.name}  ({endpoint.type})  {endpoint.origin}{endpoint.base_path}  {keys}{serves}")
    lines.append("models" if snapshot.models else "models       none named; clients use provider/model")
    for model in snapshot.models.values():
        lines.append(f"  {model.name}  {(model.strategy or snapshot.routing.strategy).name}")
        lines += [f"    {_target(item, model, snapshot)}" for item in model.targets]
        lines += [f"    {item.id}  fallback{_causes(item)}{_price(item, snapshot)}" for item in model.fallbacks]
    return lines


def _keys_in(snapshot: Snapshot) -> int:
    """Return the number of virtual keys. A key in rotation is listed under two digests."""
    from pointsman.domain.identity import KeyTable

    keys = snapshot.virtual_keys
    return len(keys) if isinstance(keys, KeyTable) else len({key.name for key in keys.values()})


def _causes(item: Candidate) -> str:
    from pointsman.routing.explain import describe_causes

    return f", {describe_causes(item)}" if item.after else ""


def _price(item: Candidate, snapshot: Snapshot) -> str:
    """Return a note on a target without a price, or without a cost."""
    note = _note_on_price(item, snapshot)
    return f", {note}" if note else ""


def _note_on_price(item: Candidate, snapshot: Snapshot) -> str:
    from pointsman.cli._prices import note_on
    from pointsman.money.terms import terms_of

    price = terms_of(None, item, snapshot).price
    return note_on(price, snapshot.pricing.catalog.find(item.endpoint.catalog, item.model)) if _is_odd(price) else ""


def _is_odd(price: Price | None) -> bool:
    from pointsman.cli._prices import is_free

    return price is None or is_free(price)


def _target(item: Candidate, model: PublicModel, snapshot: Snapshot) -> str:
    from pointsman.routing.explain import describe_causes

    notes = [f"variant {item.variant}"] if item.variant else []
    if item.after:
        notes.append(describe_causes(item))
    if item.weight == 0:
        notes.append("drained")
    elif model.strategy is not None and model.strategy.name == "weighted":
        heaviest = max(other.weight for other in model.targets)
        share = (item.weight / heaviest) / sum(other.weight / heaviest for other in model.targets)
        notes.append(f"{share:.1%}{' before costs' if getattr(model.strategy.settings, 'cost', 0) else ''}")
    if note := _note_on_price(item, snapshot):
        notes.append(note)
    return f"{item.id}  {', '.join(notes)}".rstrip()


def _as_data(checked: Checked, *, failed: bool) -> dict[str, object]:
    import msgspec

    data: dict[str, object] = {
        "passed": not failed,
        # The command reads a file alone, so no problem is one of a resource made by API.
        "problems": [
            {name: value for name, value in msgspec.to_builtins(problem).items() if name != "resource"}
            for problem in checked.problems
        ],
    }
    if checked.compiled is not None:
        snapshot = checked.compiled.snapshot
        data["digest"] = snapshot.digest
        data["providers"] = {
            endpoint.name: {
                "type": endpoint.type,
                "base_url": f"{endpoint.origin}{endpoint.base_path}",
                "keys": [key.name for key in endpoint.keys],
                "serves": list(endpoint.serves),
                "serves_only": endpoint.serves_only,
            }
            for endpoint in snapshot.endpoints.values()
        }
        data["models"] = {
            model.name: {
                "strategy": (model.strategy or snapshot.routing.strategy).name,
                "targets": [
                    {
                        "candidate": item.id,
                        "weight": item.weight,
                        "variant": item.variant,
                        "price_note": _note_on_price(item, snapshot),
                    }
                    for item in model.targets
                ],
                "fallbacks": [item.id for item in model.fallbacks],
            }
            for model in snapshot.models.values()
        }
        data["virtual_keys"] = list(dict.fromkeys(key.name for key in snapshot.virtual_keys.values()))
    return data
