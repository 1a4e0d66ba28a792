"""Makes, lists, changes and revokes virtual keys."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from pointsman.cli._admin import URL
from pointsman.cli._durations import seconds_in
from pointsman.cli._options import AsJson, TokenFile, Url
from pointsman.cli._terminal import print_json, print_line, print_table

command = typer.Typer(
    help="Make, list, change and revoke virtual keys by the admin API. The admin token comes from "
    "POINTSMAN_ADMIN_TOKEN or a file.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

KeyName = Annotated[str, typer.Argument(help="The name of the key.", show_default=False)]
Team = Annotated[str | None, typer.Option("--team", help="The team that the key belongs to.")]
Customer = Annotated[str | None, typer.Option("--customer", help="The customer that the key belongs to.")]
Budget = Annotated[
    list[str] | None,
    typer.Option("--budget", help="A budget as dollars/period, such as `5/day` or `800/month`. May be repeated."),
]
Rate = Annotated[
    list[str] | None,
    typer.Option(
        "--rate", help="A rate limit, such as `600requests/minute` or `200000tokens/minute`. May be repeated."
    ),
]
Models = Annotated[
    list[str] | None,
    typer.Option("--model", help="A pattern of model names that the key may request. May be repeated."),
]
From = Annotated[
    list[str] | None,
    typer.Option("--from", help="A network that clients must be in, such as 10.1.0.0/16. May be repeated."),
]
Label = Annotated[list[str] | None, typer.Option("--label", help="A label as name=value. May be repeated.")]
SettingsFile = Annotated[
    Path | None,
    typer.Option(
        "--settings",
        help="A JSON or YAML file with fields of an entry of `governance.virtual_keys`; other options replace them.",
    ),
]
For = Annotated[str | None, typer.Option("--for", help="The lifetime from now on, such as `12h` or `90d`.")]
Expires = Annotated[
    str | None, typer.Option("--expires", help="The time of expiry, such as 2027-01-31; `never` removes it.")
]
Note = Annotated[str | None, typer.Option("--note", help="A note, shown with the key.")]
Digest = Annotated[
    str | None, typer.Option("--sha256", help="The SHA-256 of a value of your own, instead of a new value.")
]


@command.command("create")
def create(  # noqa: PLR0913, PLR0917 -- each parameter is an option
    name: KeyName,
    team: Team = None,
    customer: Customer = None,
    budget: Budget = None,
    rate: Rate = None,
    model: Models = None,
    network: From = None,
    label: Label = None,
    settings: SettingsFile = None,
    for_: For = None,
    expires: Expires = None,
    note: Note = None,
    sha256: Digest = None,
    parent: Annotated[str | None, typer.Option("--parent", help="Make a child of this key.")] = None,
    url: Url = URL,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Make a key and print its value, which nobody can see again."""
    from pointsman.cli._admin import post

    given = {"team": team, "customer": customer, "budget": budget, "rate": rate, "model": model, "from": network}
    body: dict[str, Any] = {"name": name, "settings": _settings(settings, {**given, "label": label})}
    body |= _ending(for_, expires) | _present(note=note, sha256=sha256, parent=parent)
    _print_value(post(url, "keys", body, token_file), as_json=as_json)


@command.command("list")
def list_(  # noqa: PLR0913, PLR0917 -- each parameter is an option
    q: Annotated[str | None, typer.Argument(help="A part of the name.", show_default=False)] = None,
    team: Team = None,
    customer: Customer = None,
    parent: Annotated[str | None, typer.Option("--parent", help="Only children of this key.")] = None,
    state: Annotated[str | None, typer.Option("--state", help="active, disabled or expired.")] = None,
    hint: Annotated[
        str | None, typer.Option("--hint", help="The beginning of the value, or of its SHA-256 as the log has it.")
    ] = None,
    is_file: Annotated[bool, typer.Option("--file", help="List the keys of the configuration file instead.")] = False,
    after: Annotated[str | None, typer.Option("--after", help="Begin after this name.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=1000, help="The most keys to print.")] = 100,
    url: Url = URL,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """List keys by name, without their values."""
    from pointsman.cli._admin import get

    filters = {"q": q, "team": team, "customer": customer, "parent": parent, "state": state, "hint": hint}
    found = get(
        url, "keys", {**filters, "managed_by": "file" if is_file else None, "after": after, "limit": limit}, token_file
    )
    if as_json:
        print_json(found)
        return
    if not found["keys"]:
        print_line("no keys found")
        return
    print_table(("name", "state", "team", "begins with", "expires", "note"), map(_line, found["keys"]))
    if "next" in found:
        print_line(f"more keys exist; go on with --after {found['next']}", err=True)


@command.command("show")
def show(name: KeyName, url: Url = URL, token_file: TokenFile = None) -> None:
    """Print a key as JSON, without its value."""
    from pointsman.cli._admin import get

    print_json(get(url, f"keys/{_part(name)}", {}, token_file))


@command.command("set")
def set_(  # noqa: PLR0913, PLR0917 -- each parameter is an option
    name: KeyName,
    team: Team = None,
    customer: Customer = None,
    budget: Budget = None,
    rate: Rate = None,
    model: Models = None,
    network: From = None,
    label: Label = None,
    settings: SettingsFile = None,
    unset: Annotated[
        list[str] | None, typer.Option("--unset", help="A field to remove, such as `budgets`. May be repeated.")
    ] = None,
    for_: For = None,
    expires: Expires = None,
    note: Note = None,
    url: Url = URL,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Change a key. A field that is given replaces the earlier one as a whole; others stay."""
    given = {"team": team, "customer": customer, "budget": budget, "rate": rate, "model": model, "from": network}
    changed = {**_settings(settings, {**given, "label": label}), **dict.fromkeys(unset or ())}
    body = {**({"settings": changed} if changed else {}), **_ending(for_, expires), **_present(note=note)}
    _change(name, body, url, token_file, as_json=as_json)


@command.command("move")
def move(
    name: KeyName,
    team: Annotated[str, typer.Option("--team", help="The new team.")],
    url: Url = URL,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Move a key to another team. Its limits stay, and those of the new team apply from the next request on."""
    _change(name, {"settings": {"team": team, "customer": None}}, url, token_file, as_json=as_json)


@command.command("disable")
def disable(name: KeyName, url: Url = URL, token_file: TokenFile = None, as_json: AsJson = False) -> None:
    """Reject all requests of a key and of its children, until `enable`."""
    _change(name, {"is_enabled": False}, url, token_file, as_json=as_json)


@command.command("enable")
def enable(name: KeyName, url: Url = URL, token_file: TokenFile = None, as_json: AsJson = False) -> None:
    """Accept a disabled key again."""
    _change(name, {"is_enabled": True}, url, token_file, as_json=as_json)


@command.command("rotate")
def rotate(
    name: KeyName,
    grace: Annotated[
        str | None, typer.Option("--grace", help="How long the old value stays valid, such as `24h`. Default: not.")
    ] = None,
    revoke_children: Annotated[
        bool, typer.Option("--revoke-children", help="Delete the children of the key, too: after a leak.")
    ] = False,
    sha256: Digest = None,
    url: Url = URL,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Give a key a new value and print it. Name, rights, limits and spending stay."""
    from pointsman.cli._admin import post

    body = _present(grace_s=seconds_in(grace, "--grace"), revoke_children=revoke_children or None, sha256=sha256)
    _print_value(post(url, f"keys/{_part(name)}/rotate", body, token_file), as_json=as_json)


@command.command("delete")
def delete_(name: KeyName, url: Url = URL, token_file: TokenFile = None, as_json: AsJson = False) -> None:
    """Revoke a key and its children for good. No worker admits it when this returns."""
    from pointsman.cli._admin import delete

    found = delete(url, f"keys/{_part(name)}", {}, token_file)
    _report(found, f"the key {name} is revoked", as_json=as_json)


def _change(name: str, body: dict[str, Any], url: str, token_file: Path | None, *, as_json: bool) -> None:
    from pointsman.cli._admin import patch

    if not body:
        raise typer.BadParameter("set at least one option")
    found = patch(url, f"keys/{_part(name)}", body, token_file)
    _report(found, f"the key {name} is changed; it is {found['state']}", as_json=as_json)


def _report(found: dict[str, Any], line: str, *, as_json: bool) -> None:
    if as_json:
        print_json(found)
    else:
        print_line(line)
    if found.get("waiting_workers"):
        print_line(f"{len(found['waiting_workers'])} worker(s) have not confirmed the change yet", err=True)


def _print_value(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json or "key" not in found:
        print_json(found)
        return
    print_line(found["key"])
    print_line(f"this is the value of {found['name']}; it is not shown again", err=True)
    if found.get("waiting_workers"):
        print_line(f"{len(found['waiting_workers'])} worker(s) do not know it yet", err=True)


def _settings(file: Path | None, given: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of a file, with those of the options instead."""
    found: dict[str, Any] = {}
    if file is not None:
        from yaml import YAMLError, safe_load

        try:
            found = safe_load(file.read_text())
        except (OSError, YAMLError) as error:
            raise typer.BadParameter(f"cannot read {file}: {error}", param_hint="--settings") from None
        if not isinstance(found, dict):
            raise typer.BadParameter(f"{file} must have a mapping", param_hint="--settings")
    chosen = {
        "team": given["team"],
        "customer": given["customer"],
        "budgets": [_budget(text) for text in given["budget"] or ()],
        "rate_limits": [_rate(text) for text in given["rate"] or ()],
        "allow_models": given["model"],
        "from": given["from"],
        "labels": dict(_label(text) for text in given["label"] or ()),
    }
    return found | {name: value for name, value in chosen.items() if value}


def _budget(text: str) -> dict[str, Any]:
    amount, slash, period = text.lstrip("$").partition("/")
    if not slash or not amount.replace(".", "", 1).isdecimal():
        raise typer.BadParameter(f"{text!r} is no budget; write dollars/period, such as 5/day", param_hint="--budget")
    return {"limit_usd": amount if "." in amount else int(amount), "per": period}


def _rate(text: str) -> dict[str, Any]:
    amount, slash, period = text.replace(" ", "").partition("/")
    for metric in ("requests", "tokens"):
        number = amount.removesuffix(metric)
        if slash and number != amount and number.isdecimal():
            return {metric: int(number), "per": period}
    message = f"{text!r} is no rate limit; write it as 600requests/minute or 200000tokens/minute"
    raise typer.BadParameter(message, param_hint="--rate")


def _label(text: str) -> tuple[str, str]:
    name, mark, value = text.partition("=")
    if not mark:
        raise typer.BadParameter(f"{text!r} is no label; write it as name=value", param_hint="--label")
    return name, value


def _ending(for_: str | None, expires: str | None) -> dict[str, Any]:
    from time import time

    from pointsman.cli._admin import parse_time

    lasts_s = seconds_in(for_)
    if lasts_s is not None:
        if expires is not None:
            raise typer.BadParameter("set either --for or --expires", param_hint="--for")
        return {"expires_at": time() + lasts_s}
    if expires is None:
        return {}
    return {"expires_at": 0 if expires == "never" else parse_time(expires, "--expires")}


def _present(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _part(name: str) -> str:
    from urllib.parse import quote

    return quote(name, safe="")


def _line(key: dict[str, Any]) -> tuple[str, ...]:
    from pointsman.cli._admin import format_utc

    expires = format_utc(key["expires_at"]) if key.get("expires_at") else "-"
    state = key.get("state", "in the file")
    return (key["name"], state, key["team"] or "-", key.get("hint") or "-", expires, key.get("note") or "")
