"""Lists, makes and revokes service tokens."""

from __future__ import annotations

from typing import Annotated

import typer

from pointsman.cli._admin import URL
from pointsman.cli._options import AsJson, TokenFile, Url
from pointsman.cli._roles import Roles, role_fields, role_texts
from pointsman.cli._terminal import print_json, print_line, print_table

command = typer.Typer(
    help="List, make and revoke service tokens by the admin API: credentials of programs, in the place of the admin "
    "token. The admin token comes from POINTSMAN_ADMIN_TOKEN or a file.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

TokenName = Annotated[str, typer.Argument(help="The name of the token.", show_default=False)]


@command.command("list")
def list_(url: Url = URL, token_file: TokenFile = None, as_json: AsJson = False) -> None:
    """List service tokens, without their secrets."""
    from pointsman.cli._admin import format_utc, get

    found = get(url, "tokens", {}, token_file)
    if as_json:
        print_json(found)
        return
    if not found:
        print_line("no service tokens found")
        return
    rows = [
        (
            one["name"],
            format_utc(one["expires_at"]),
            role_texts(one["roles"]),
            one["author"],
            format_utc(one["created_at"]),
        )
        for one in found
    ]
    print_table(("name", "expires", "roles", "made by", "at"), rows)


@command.command("create")
def create(
    name: TokenName,
    role: Roles = None,
    days: Annotated[float, typer.Option("--days", min=0.001, max=366, help="The lifetime in days.")] = 90.0,
    url: Url = URL,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Make a service token and print it. Nobody can see it again."""
    from pointsman.cli._admin import format_utc, post

    found = post(url, "tokens", {"name": name, "roles": role_fields(role or []), "days": days}, token_file)
    if as_json:
        print_json(found)
        return
    print_line(found["token"])
    print_line(f"{name} expires at {format_utc(found['expires_at'])}; the token is shown only once", err=True)


@command.command("delete")
def delete(name: TokenName, url: Url = URL, token_file: TokenFile = None) -> None:
    """Revoke a service token. The next request with it is rejected."""
    from urllib.parse import quote

    from pointsman.cli._admin import delete

    delete(url, f"tokens/{quote(name, safe='')}", {}, token_file)
    print_line(f"revoked {name}")
