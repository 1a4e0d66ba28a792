"""Makes, lists and revokes the caller's own keys."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from pointsman.cli._admin import URL
from pointsman.cli._durations import seconds_in
from pointsman.cli._options import AsJson, TokenFile, Url
from pointsman.cli._terminal import print_json, print_line, print_table

command = typer.Typer(
    help="Make, list, rotate and revoke keys of your own, from the access templates of your teams. The service token "
    "comes from POINTSMAN_ADMIN_TOKEN or a file.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

KeyName = Annotated[str, typer.Argument(help="The name of the key.", show_default=False)]


@command.command("show")
def show(url: Url = URL, token_file: TokenFile = None) -> None:
    """Print who you are and your permissions, as JSON."""
    from pointsman.cli._admin import get

    print_json(get(url, "me", {}, token_file))


@command.command("keys")
def keys(url: Url = URL, token_file: TokenFile = None, as_json: AsJson = False) -> None:
    """List your keys with their spending and their limits."""
    from pointsman.cli._admin import get

    found = get(url, "me/keys", {}, token_file)
    if as_json:
        print_json(found)
        return
    if not found["keys"]:
        print_line("you have no keys; make one with `pointsman me create`")
        return
    spent = f"spent in {found['spent_days']} days"
    print_table(("name", "state", "template", "begins with", spent, "limits"), map(_line, found["keys"]))


@command.command("templates")
def templates(url: Url = URL, token_file: TokenFile = None, as_json: AsJson = False) -> None:
    """List the templates that you may make keys from."""
    from pointsman.cli._admin import get

    found = get(url, "me/keys", {}, token_file)["templates"]
    if as_json:
        print_json(found)
    elif not found:
        print_line("there is no access template for you; ask an admin of your team")
    else:
        print_table(
            ("name", "team", "keys at most"), [(one["name"], one["team"], str(one["at_most"])) for one in found]
        )


@command.command("create")
def create(
    name: Annotated[str | None, typer.Argument(help="The name of the key. Default: made from yours.")] = None,
    template: Annotated[str | None, typer.Option("--template", help="The template. Default: the only one.")] = None,
    for_: Annotated[str | None, typer.Option("--for", help="The lifetime from now on, such as `12h` or `90d`.")] = None,
    note: Annotated[str | None, typer.Option("--note", help="A note, shown with the key.")] = None,
    url: Url = URL,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Make a key and print its value, which nobody can see again."""
    from pointsman.cli._admin import post

    given = {"name": name, "template": template, "for_s": seconds_in(for_), "note": note}
    body = {field: value for field, value in given.items() if value is not None}
    _print_value(post(url, "me/keys", body, token_file), as_json=as_json)


@command.command("rotate")
def rotate(
    name: KeyName,
    grace: Annotated[
        str | None, typer.Option("--grace", help="How long the old value stays valid, such as `24h`. Default: not.")
    ] = None,
    url: Url = URL,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Give a key a new value and print it."""
    from pointsman.cli._admin import post
    from pointsman.cli._resources import part

    grace_s = seconds_in(grace, "--grace")
    body = {"grace_s": grace_s} if grace_s is not None else {}
    _print_value(post(url, f"me/keys/{part(name)}/rotate", body, token_file), as_json=as_json)


@command.command("revoke")
def revoke(name: KeyName, url: Url = URL, token_file: TokenFile = None, as_json: AsJson = False) -> None:
    """Revoke a key for good. No worker admits it when this returns."""
    from pointsman.cli._admin import delete
    from pointsman.cli._resources import part

    found = delete(url, f"me/keys/{part(name)}", {}, token_file)
    if as_json:
        print_json(found)
    else:
        print_line(f"the key {name} is revoked")


def _print_value(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json or "key" not in found:
        print_json(found)
        return
    print_line(found["key"])
    print_line(f"this is the value of {found['name']}; it is not shown again", err=True)


def _line(key: dict[str, Any]) -> tuple[str, ...]:
    template = key["settings"].get("template") or "-"
    limits = ", ".join(_limit(one) for one in key["limits"]) or "none"
    return key["name"], key["state"], template, key["hint"] or "-", f"${key['spent_usd']}", limits


def _limit(one: dict[str, Any]) -> str:
    """Return a limit with its use, such as `team:research 12 % of usd/month`."""
    share = f"{100 * (one['posted'] + one['lent']) / one['limit']:.0f} %" if one["limit"] else "all"
    return f"{one['owner']} {share} of {one['metric']}/{one['period']}"
