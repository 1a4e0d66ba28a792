"""Lists, makes and deletes roles."""

from __future__ import annotations

from typing import Annotated

import typer

from pointsman.cli._admin import URL
from pointsman.cli._options import AsJson, TokenFile, Url
from pointsman.cli._terminal import print_json, print_line, print_table

command = typer.Typer(
    help="List, make and delete roles by the admin API. The admin token, or a service token, comes from "
    "POINTSMAN_ADMIN_TOKEN or a file.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

RoleName = Annotated[str, typer.Argument(help="The name of the role.", show_default=False)]


@command.command("list")
def list_(url: Url = URL, token_file: TokenFile = None, as_json: AsJson = False) -> None:
    """List all roles with their permissions."""
    from pointsman.cli._admin import get

    found = get(url, "roles", {}, token_file)
    if as_json:
        print_json(found)
        return
    rows = [
        (one["name"], "built in" if one["built_in"] else one["note"], ", ".join(one["permissions"]))
        for one in found["roles"]
    ]
    print_table(("role", "note", "permissions"), rows)


@command.command("set")
def set_(
    name: RoleName,
    permission: Annotated[
        list[str], typer.Option("--permission", "-p", help="A permission, such as `usage:read`. May be repeated.")
    ],
    note: Annotated[str, typer.Option("--note", help="A note, shown with the role.")] = "",
    url: Url = URL,
    token_file: TokenFile = None,
) -> None:
    """Make a role, or replace its permissions."""
    from pointsman.cli._admin import put

    found = put(url, f"roles/{_part(name)}", {"permissions": permission, "note": note}, token_file)
    print_line(f"{name} has {', '.join(found['permissions'])}")


@command.command("delete")
def delete(name: RoleName, url: Url = URL, token_file: TokenFile = None) -> None:
    """Delete a role that nobody has."""
    from pointsman.cli._admin import delete

    delete(url, f"roles/{_part(name)}", {}, token_file)
    print_line(f"deleted {name}")


def _part(name: str) -> str:
    from urllib.parse import quote

    return quote(name, safe="")
