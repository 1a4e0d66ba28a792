"""The commands of one kind of resources: list, show, create, set and delete."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from pointsman.cli._admin import URL
from pointsman.cli._options import AsJson, TokenFile, Url
from pointsman.cli._terminal import print_json, print_line, print_table

ResourceName = Annotated[str, typer.Argument(help="The name.", show_default=False)]
Fields = Annotated[
    list[str] | None,
    typer.Argument(
        help="Fields as NAME=VALUE. A dot leads into a mapping, and VALUE is YAML: `labels.env=prod`, "
        "`budgets='[{limit_usd: 5, per: day}]'`. `null` removes a field.",
        show_default=False,
    ),
]
File = Annotated[
    Path | None, typer.Option("--file", "-f", help="A YAML file with the whole content, as in the configuration file.")
]
Note = Annotated[str, typer.Option("--note", help="The reason for the change, shown in the history.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check the change, and change nothing.")]


def resource_commands(kind: str, plural: str, noun: str, more: str = "") -> typer.Typer:
    """Return the commands of a kind. `plural` is its name in paths, and `noun` that of several in texts."""
    app = typer.Typer(
        help=f"List, show, create, set and delete {noun} by the admin API. Those of the configuration file are only "
        f"shown. {more}{' ' if more else ''}The admin token, or a service token, comes from POINTSMAN_ADMIN_TOKEN or a "
        "file.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    _add_reads(app, plural, noun)
    _add_writes(app, kind, plural)
    return app


def _add_reads(app: typer.Typer, plural: str, noun: str) -> None:
    @app.command("list", help=f"List {noun}, with their owner: the configuration file or the API.")
    def list_(
        search: Annotated[str | None, typer.Option("--search", help="Only names with this text in them.")] = None,
        owner: Annotated[str | None, typer.Option("--owner", help="Only those of `file` or `api`.")] = None,
        url: Url = URL,
        token_file: TokenFile = None,
        as_json: AsJson = False,
    ) -> None:
        found = all_of(url, plural, token_file, {"search": search, "owner": owner})
        if as_json:
            print_json(found)
        elif not found:
            print_line("none found")
        else:
            print_table(("name", "owner", "changed", "by"), [_row(one) for one in found])

    @app.command("show", help="Print one as YAML, as the configuration file has it. Secrets are sealed.")
    def show(name: ResourceName, url: Url = URL, token_file: TokenFile = None, as_json: AsJson = False) -> None:
        from pointsman.cli._admin import get

        found = get(url, f"{plural}/{part(name)}", {}, token_file)
        if as_json:
            print_json(found)
        else:
            print_yaml({name: found["spec"]})


def _add_writes(app: typer.Typer, kind: str, plural: str) -> None:
    @app.command("create", help="Make one.")
    def create(  # noqa: PLR0913, PLR0917 -- options
        name: ResourceName, fields: Fields = None, file: File = None, note: Note = "", dry_run: DryRun = False,
        url: Url = URL, token_file: TokenFile = None, as_json: AsJson = False,
    ) -> None:  # fmt: skip
        from pointsman.cli._admin import post

        spec = resolved(kind, name, given(fields, file))
        body = {"name": name, "spec": spec, "note": note}
        tell(post(url, f"{plural}{_query(dry_run)}", body, token_file), as_json)

    @app.command("set", help="Change fields of one, or replace its whole content by that of a file.")
    def set_(  # noqa: PLR0913, PLR0917 -- options
        name: ResourceName, fields: Fields = None, file: File = None, note: Note = "", dry_run: DryRun = False,
        url: Url = URL, token_file: TokenFile = None, as_json: AsJson = False,
    ) -> None:  # fmt: skip
        from pointsman.cli._admin import patch, put

        body = {"spec": resolved(kind, name, given(fields, file)), "note": note}
        send = patch if file is None else put
        tell(send(url, f"{plural}/{part(name)}{_query(dry_run)}", body, token_file), as_json)

    @app.command("delete", help="Delete one, unless others refer to it.")
    def delete(
        name: ResourceName,
        dry_run: DryRun = False,
        url: Url = URL,
        token_file: TokenFile = None,
        as_json: AsJson = False,
    ) -> None:
        from pointsman.cli._admin import delete

        parameters = {"dry_run": "true"} if dry_run else {}
        tell(delete(url, f"{plural}/{part(name)}", parameters, token_file), as_json)


def all_of(url: str, plural: str, token_file: Path | None, filters: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return all resources of a kind, page by page."""
    from pointsman.cli._admin import get

    found: list[dict[str, Any]] = []
    after: str | None = None
    while True:
        page = get(url, plural, {**filters, "limit": 1000, "after": after}, token_file)
        found += page["items"]
        after = page["next"]
        if after is None:
            return found


def given(fields: list[str] | None, file: Path | None) -> Any:
    """Return the content in a file, with fields over it."""
    spec = read_yaml(file) if file is not None else {}
    for text in fields or ():
        path, equals, value = text.partition("=")
        if not equals or not path:
            raise typer.BadParameter(f"{text!r} is no field; write NAME=VALUE", param_hint="FIELDS")
        _assign(spec, path.split("."), _parsed(value, text))
    return spec


def resolved(kind: str, name: str, spec: Any) -> Any:
    """Return the content of a provider with its secrets: references are resolved here, on the caller's side."""
    from pointsman.config.sealing import map_secrets

    def resolve(field: str, text: str) -> str:
        if not text.startswith(("env.", "file:")):
            return text
        return resolve_text(text, f"{kind} {name}: {field}", is_document=field.endswith(".google"))

    return map_secrets(spec, resolve) if kind == "provider" else spec


def resolve_text(text: str, place: str, *, is_document: bool = False) -> str:
    """Return the secret that a reference names. Exit with a message that names the place if there is none."""
    from pointsman.config.references import BadReference, References

    references = References(os.environ, Path())
    try:
        return (references.document(text) if is_document else references.resolve(text)).reveal()
    except BadReference as error:
        print_line(f"{place}: {error}", err=True)
        raise typer.Exit(1) from None


def tell(outcome: Mapping[str, Any], as_json: bool) -> None:
    """Print the outcome of a change."""
    if as_json:
        print_json(outcome)
        return
    for change in outcome["changes"]:
        action = "created" if change["before"] is None else "deleted" if change["after"] is None else "changed"
        print_line(f"{action} {change['kind']} {change['name']}")
    if not outcome["changes"]:
        print_line("nothing to change")
    for note in outcome["notes"]:
        print_line(f"note: {note}", err=True)
    if outcome["waiting_workers"]:
        waiting = ", ".join(map(str, outcome["waiting_workers"]))
        print_line(f"not in force yet at worker {waiting}; see `pointsman top`", err=True)


def read_yaml(file: Path) -> Any:
    """Return the content of a YAML file, or of standard input if it is `-`. Exit with a message if it is not usable."""
    import sys

    import yaml

    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text()
        return _plain(yaml.safe_load(text))
    except OSError as error:
        print_line(f"{file} cannot be read: {error.strerror}", err=True)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        print_line(f"{file} is no YAML: {error}", err=True)
    raise typer.Exit(1)


def print_yaml(data: object) -> None:
    """Print data as YAML."""
    import yaml

    for line in yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=120).splitlines():
        print_line(line)


def part(name: str) -> str:
    """Return a name as a part of a path."""
    from urllib.parse import quote

    return quote(name, safe="")


def _query(dry_run: bool) -> str:
    return "?dry_run=true" if dry_run else ""


def _parsed(value: str, text: str) -> Any:
    import yaml

    try:
        return _plain(yaml.safe_load(value))
    except yaml.YAMLError as error:
        raise typer.BadParameter(f"{text!r}: the value is no YAML: {error}", param_hint="FIELDS") from None


def _plain(data: Any) -> Any:
    """Return data as JSON has them: YAML has dates too."""
    from msgspec import json

    return json.decode(json.encode(data))


def _assign(spec: Any, path: list[str], value: Any) -> None:
    for name in path[:-1]:
        if not isinstance(spec, dict):
            break
        spec = spec.setdefault(name, {})
    if not isinstance(spec, dict):
        raise typer.BadParameter(f"{'.'.join(path)}: there is no mapping at this place", param_hint="FIELDS")
    spec[path[-1]] = value


def _row(one: Mapping[str, Any]) -> tuple[str, ...]:
    from pointsman.cli._admin import format_utc

    if one["owner"] == "file":
        line = f", line {one['line']}" if one["line"] is not None else ""
        return one["name"], f"file{line}", "", ""
    return one["name"], "api", format_utc(one["updated_at"]), one["author"]
