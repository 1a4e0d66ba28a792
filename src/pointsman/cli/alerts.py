"""Prints alerts, and tests a rule."""

from pathlib import Path
from typing import Annotated, Any

import typer

from pointsman.cli._admin import URL
from pointsman.cli._options import AsJson, TokenFile, Url
from pointsman.cli._terminal import print_json, print_line, print_table

_TIME = "%Y-%m-%d %H:%M:%SZ"


def command(
    history: Annotated[bool, typer.Option("--history", help="Also alerts that have ended, the newest first.")] = False,
    test: Annotated[
        str | None,
        typer.Option("--test", metavar="NAME", help="Send a test message to each channel of this rule instead."),
    ] = None,
    rule: Annotated[str | None, typer.Option("--rule", help="With --history: only alerts of this rule.")] = None,
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=1000, help="With --history: the largest number of alerts to print.")
    ] = 50,
    url: Url = URL,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Print the alerts that fire, and the channels that take no messages. With --test, exit with 1 if a channel did not
    accept the message. Times are in UTC. The admin token comes from POINTSMAN_ADMIN_TOKEN or a file."""
    from pointsman.cli._admin import get

    if test is not None:
        _test(test, url, token_file, as_json=as_json)
        return
    if history:
        found = get(url, "alerts/history", {"rule": rule, "limit": limit}, token_file)
        _print(found, found, as_json=as_json)
        return
    found = get(url, "alerts", {}, token_file)
    _print(found, found["firing"], as_json=as_json)
    if not as_json:
        for line in _problems(found):
            print_line(line)


def _test(name: str, url: str, token_file: Path | None, *, as_json: bool) -> None:
    from urllib.parse import quote

    from pointsman.cli._admin import post

    found = post(url, f"alerts/{quote(name, safe='')}/test", {}, token_file)
    if as_json:
        print_json(found)
    elif not found["channels"]:
        print_line(f"the rule {name} has no channels")
    else:
        for channel, problem in found["channels"].items():
            print_line(f"{channel}: {problem or 'accepted the message'}")
    if any(found["channels"].values()):
        raise typer.Exit(1)


def _print(answer: object, alerts: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        print_json(answer)
    elif alerts:
        print_table(("fired", "ended", "severity", "rule", "alert"), map(_row, alerts))
    else:
        print_line("no alerts")


def _row(one: dict[str, Any]) -> tuple[str, ...]:
    from pointsman.cli._admin import format_utc

    ended = format_utc(one["ended_at"], _TIME) if one["ended_at"] is not None else "-"
    return format_utc(one["fired_at"], _TIME), ended, one["severity"], one["rule"], one["text"]


def _problems(found: dict[str, Any]) -> list[str]:
    lines = [found["problem"]] if found["problem"] else []
    if not found["rules"]:
        lines.append("no rules are in force; set `alerts` in the configuration")
    return [
        *lines,
        *(
            f"channel {one['name']}: {one['problem']}; {one['waiting']} messages wait"
            for one in found["channels"]
            if one["problem"]
        ),
    ]
