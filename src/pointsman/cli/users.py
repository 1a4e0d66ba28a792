"""Makes, lists and changes the users of the console."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from pointsman.cli._admin import URL
from pointsman.cli._options import AsJson, TokenFile, Url
from pointsman.cli._roles import Roles, role_fields, role_texts
from pointsman.cli._terminal import print_json, print_line, print_table

command = typer.Typer(
    help="Make, list and change the users of the console by the admin API. The admin token, or a service token, comes "
    "from POINTSMAN_ADMIN_TOKEN or a file.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

User = Annotated[str, typer.Argument(help="The id of the user, or the name to log in with.", show_default=False)]
PasswordFile = Annotated[Path | None, typer.Option("--password-file", help="A file with the password.")]


@command.command("list")
def list_(
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=1000, help="The most users to print.")] = 100,
    after: Annotated[str, typer.Option("--after", help="Begin after this id.")] = "",
    url: Url = URL,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """List users with their roles."""
    from pointsman.cli._admin import get

    found = get(url, "users", {"limit": limit, "after": after or None}, token_file)
    if as_json:
        print_json(found)
        return
    if not found:
        print_line("no users found")
        return
    print_table(("id", "name", "identity", "state", "last login", "roles"), map(_line, found))
    if len(found) == limit:
        print_line(f"more users may exist; go on with --after {found[-1]['id']}", err=True)


@command.command("show")
def show(user: User, url: Url = URL, token_file: TokenFile = None) -> None:
    """Print a user as JSON."""
    print_json(_found(user, url, token_file))


@command.command("create")
def create(
    name: Annotated[str, typer.Argument(help="The name to log in with.", show_default=False)],
    role: Roles = None,
    password_file: PasswordFile = None,
    url: Url = URL,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Make a user who logs in with a password. Without --password-file, print a new password, which nobody can see
    again."""
    from pointsman.cli._admin import post

    body: dict[str, Any] = {"name": name, "roles": role_fields(role or [])}
    if password_file is not None:
        body["password"] = _read(password_file)
    found = post(url, "users", body, token_file)
    if as_json:
        print_json(found)
        return
    print_line(f"{found['name']} is {found['id']}")
    if "password" in found:
        print_line(f"password, shown only once: {found['password']}")


@command.command("set")
def set_(  # noqa: PLR0913, PLR0917 -- each parameter is an option
    user: User,
    role: Roles = None,
    no_roles: Annotated[bool, typer.Option("--no-roles", help="Take all roles that people gave.")] = False,
    name: Annotated[str | None, typer.Option("--name", help="A new name.")] = None,
    password_file: PasswordFile = None,
    disabled: Annotated[
        bool | None,
        typer.Option(
            "--disable/--enable", help="Reject the logins of the user, or allow them again.", show_default=False
        ),
    ] = None,
    no_totp: Annotated[bool, typer.Option("--no-totp", help="Let the user log in without a one-time code.")] = False,
    url: Url = URL,
    token_file: TokenFile = None,
) -> None:
    """Change a user. --role replaces all roles that people gave. A new password ends all sessions of the user."""
    from pointsman.cli._admin import patch

    body: dict[str, Any] = {}
    if role or no_roles:
        body["roles"] = role_fields(role or [])
    if name is not None:
        body["name"] = name
    if password_file is not None:
        body["password"] = _read(password_file)
    if disabled is not None:
        body["disabled"] = disabled
    if no_totp:
        body["totp"] = False
    if not body:
        raise typer.BadParameter("set at least one option; --help lists them")
    found = patch(url, f"users/{_id(user, url, token_file)}", body, token_file)
    print_table(("id", "name", "identity", "state", "last login", "roles"), [_line(found)])


@command.command("delete")
def delete(user: User, url: Url = URL, token_file: TokenFile = None) -> None:
    """Delete a user. Its sessions end at once."""
    from pointsman.cli._admin import delete

    delete(url, f"users/{_id(user, url, token_file)}", {}, token_file)
    print_line(f"deleted {user}")


@command.command("log-out")
def log_out(user: User, url: Url = URL, token_file: TokenFile = None) -> None:
    """End all sessions of a user."""
    from pointsman.cli._admin import delete

    delete(url, f"users/{_id(user, url, token_file)}/sessions", {}, token_file)
    print_line(f"ended the sessions of {user}")


def _id(user: str, url: str, token_file: Path | None) -> str:
    return str(_found(user, url, token_file)["id"])


def _found(user: str, url: str, token_file: Path | None) -> Any:
    from urllib.parse import quote

    from pointsman.cli._admin import get

    if user.startswith("u-"):
        return get(url, f"users/{quote(user, safe='')}", {}, token_file)
    found = get(url, "users", {"name": user, "limit": 2}, token_file)
    if len(found) == 1:
        return found[0]
    problem = f"there is no user {user!r}"
    if found:
        problem = f"several users have the name {user!r}; use the id that `pointsman users list` prints"
    print_line(problem, err=True)
    raise typer.Exit(1)


def _line(user: dict[str, Any]) -> tuple[str, ...]:
    from pointsman.cli._admin import format_utc

    state = "disabled" if user["disabled"] else "active, with codes" if user["totp"] else "active"
    at = user["logged_in_at"]
    identity = "password" if user["issuer"] == "local" else f"{user['subject']} at {user['issuer']}"
    return user["id"], user["name"], identity, state, format_utc(at) if at else "never", role_texts(user["roles"])


def _read(path: Path) -> str:
    try:
        return path.read_text().strip("\r\n")
    except OSError as error:
        raise typer.BadParameter(f"cannot read {path}: {error.strerror}", param_hint="--password-file") from None
