"""Lists, compares and restores versions of the resources that were made by API."""

from __future__ import annotations

from typing import Annotated

import typer

from pointsman.cli._admin import URL
from pointsman.cli._options import AsJson, TokenFile, Url
from pointsman.cli._resources import DryRun, Note, tell
from pointsman.cli._terminal import print_json, print_line, print_table

command = typer.Typer(
    help="List, compare and restore versions of the resources that were made by API. The admin token, or a service "
    "token, comes from POINTSMAN_ADMIN_TOKEN or a file.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@command.command("history")
def history(
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=1000, help="The number of versions.")] = 20,
    url: Url = URL,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """List versions with their changes, the newest first."""
    from pointsman.cli._admin import format_utc, get

    found = get(url, "config/versions", {"limit": limit}, token_file)
    if as_json:
        print_json(found)
        return
    rows = [
        (
            str(one["number"]),
            format_utc(one["at"]),
            one["author"],
            ", ".join(f"{change['kind']} {change['name']}" for change in one["changes"]),
            one["note"],
        )
        for one in found
    ]
    print_table(("version", "at", "by", "changes", "note"), rows, {"version"})


@command.command("diff")
def diff(
    since: Annotated[int, typer.Argument(min=0, help="The older version; 0 is the file alone.", show_default=False)],
    until: Annotated[int | None, typer.Argument(min=0, help="The newer version. Default: the newest.")] = None,
    url: Url = URL,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Print the changes between two versions."""
    from pointsman.cli._admin import get

    found = get(url, "config/diff", {"since": since, "until": until}, token_file)
    if as_json:
        print_json(found)
        return
    for line in found["text"]:
        print_line(line)


@command.command("rollback")
def rollback(
    version: Annotated[int, typer.Argument(min=0, help="The version to go back to.", show_default=False)],
    note: Note = "",
    dry_run: DryRun = False,
    url: Url = URL,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Make the resources be those of an earlier version. This makes a new version, so it can be undone. The
    configuration file, virtual keys and users stay as they are."""
    from pointsman.cli._admin import post

    path = f"config/rollback{'?dry_run=true' if dry_run else ''}"
    tell(post(url, path, {"version": version, "note": note}, token_file), as_json)
