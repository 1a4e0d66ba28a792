"""Makes a configuration from that of another gateway."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pointsman.cli._terminal import print_line

if TYPE_CHECKING:
    from pointsman.importers.draft import Draft
    from pointsman.importers.origin import ImportOrigin

_HELP = {
    "origin": "The other gateway: litellm or bifrost.",
    "file": "Its configuration: config.yaml of LiteLLM's proxy, or config.json of Bifrost.",
    "into": "The folder for the new files. It must be new or empty.",
    "database": "The address of LiteLLM's PostgreSQL database, for its keys, teams, budgets and spending. It is only "
    "read. Better set POINTSMAN_IMPORT_DATABASE, since other users of the machine see arguments.",
}


def command(
    origin: Annotated[str, typer.Argument(metavar="ORIGIN", help=_HELP["origin"], show_default=False)],
    file: Annotated[Path, typer.Argument(help=_HELP["file"], show_default=False)],
    into: Annotated[Path, typer.Option("--into", metavar="FOLDER", help=_HELP["into"])] = Path("pointsman-import"),
    database: Annotated[
        str | None,
        typer.Option("--database", metavar="URL", envvar="POINTSMAN_IMPORT_DATABASE", help=_HELP["database"]),
    ] = None,
) -> None:
    """Make a configuration from that of LiteLLM or Bifrost, with a report of everything that has no counterpart or
    works differently.

    The folder gets `pointsman.yaml` and `report.md`. If there is something to put into them, it also gets `keys.jsonl`
    with LiteLLM's keys, which clients go on using, `carried.json` with the spending of present budget windows, for
    `pointsman carry`, and `secrets.env` with secrets that the other configuration has in clear. Then the configuration
    is checked. The command exits with 1 if it is not usable.
    """
    from pointsman.importers.draft import Draft
    from pointsman.importers.origin import ImportOrigin, ImportRejectedError
    from pointsman.importers.render import write
    from pointsman.registry import members

    known = dict(members("pointsman.importers.origins", "ORIGIN"))
    found = known.get(origin)
    if not isinstance(found, ImportOrigin):
        raise typer.BadParameter(f"{origin!r} is none of {', '.join(known)}", param_hint="ORIGIN")
    if database is not None and found.read_rows is None:
        raise typer.BadParameter(f"the database of {found.title} is not read", param_hint="--database")
    if into.exists() and (not into.is_dir() or any(into.iterdir())):
        raise typer.BadParameter(f"{into} is not an empty folder", param_hint="--into")
    draft = Draft()
    try:
        found.read(_parsed(file), draft)
    except ImportRejectedError as error:
        print_line(f"{file}: {error}", err=True)
        raise typer.Exit(1) from None
    if database is not None:
        _read_database(database, found, draft)
    write(into, draft, found, file.name)
    raise typer.Exit(_check(into, draft))


def _parsed(file: Path) -> dict[str, object]:
    import yaml

    try:
        document = yaml.load(file.read_text(encoding="utf-8-sig"), Loader=yaml.CSafeLoader)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise typer.BadParameter(f"{file}: {reason}", param_hint="FILE") from None
    except yaml.YAMLError as error:
        raise typer.BadParameter(f"{file} is neither YAML nor JSON: {error}", param_hint="FILE") from None
    if not isinstance(document, dict):
        raise typer.BadParameter(f"{file} is not a mapping of sections", param_hint="FILE")
    return document


def _read_database(url: str, origin: ImportOrigin, draft: Draft) -> None:
    import asyncio
    from time import time

    from pointsman.importers.database import DatabaseUnreadableError, read_tables

    try:
        rows = asyncio.run(read_tables(url, origin.tables))
    except DatabaseUnreadableError as error:
        print_line(str(error), err=True)
        raise typer.Exit(1) from None
    assert origin.read_rows is not None
    origin.read_rows(rows, draft, time())


def _check(folder: Path, draft: Draft) -> int:
    import os

    from pointsman.config.compile import compile_file
    from pointsman.config.problems import render

    file = folder / "pointsman.yaml"
    checked = compile_file(file, os.environ, reads_secrets=False)
    for line in render(checked.problems, str(file)):
        print_line(line)
    counts = {kind: sum(note.kind == kind for note in draft.notes) for kind in ("todo", "lost", "changed")}
    print_line(
        f"{folder}: {'not usable' if checked.compiled is None else 'usable'}; report.md has {counts['todo']} things to "
        f"do, {counts['lost']} without a counterpart, and {counts['changed']} that work differently"
    )
    if draft.keys:
        print_line(
            f"{len(draft.keys)} keys go on working; start the gateway, then `pointsman carry {folder}/carried.json`"
        )
    return 1 if checked.compiled is None else 0
