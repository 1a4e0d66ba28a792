"""Takes a provider, a target or a provider key out of use, or forces it in."""

from typing import Annotated

import typer

from pointsman.cli._admin import URL
from pointsman.cli._durations import seconds_in
from pointsman.cli._options import AsJson, TokenFile, Url
from pointsman.cli._terminal import print_json, print_line


def command(
    name: Annotated[str, typer.Argument(help="`provider`, `provider/model` or `provider:key`.", show_default=False)],
    for_: Annotated[
        str | None, typer.Option("--for", help="The duration, such as `90s`, `15m`, `1h` or `2d`. Default: no end.")
    ] = None,
    reason: Annotated[str, typer.Option("--reason", help="Shown in errors, `explain` and `pointsman health`.")] = "",
    is_in: Annotated[
        bool,
        typer.Option("--in", help="Force it into use instead: its breaker never opens."),
    ] = False,
    url: Url = URL,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Take a provider, a target or a provider key out of use at once, without a reload. No request uses it until the
    end of the hold, or until `pointsman release`. If a request has nothing else, the client gets a 503 that names the
    hold. The admin token comes from POINTSMAN_ADMIN_TOKEN or a file."""
    from pointsman.cli._admin import format_utc, post

    data = {"name": name, "effect": "in" if is_in else "out", "reason": reason, "for_s": seconds_in(for_)}
    found = post(url, "health/holds", data, token_file)
    if as_json:
        print_json(found)
        return
    end = f"until {format_utc(found['until'])}" if found["until"] is not None else "until it is released"
    print_line(f"{name} is {'forced into use' if is_in else 'held out of use'} {end}")
