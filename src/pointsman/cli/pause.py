"""Pauses a team, a customer, a virtual key or a provider."""

from enum import StrEnum
from typing import Annotated

import typer

from pointsman.cli._admin import URL
from pointsman.cli._durations import seconds_in
from pointsman.cli._options import AsJson, TokenFile, Url
from pointsman.cli._terminal import print_json, print_line


class Paused(StrEnum):
    """The kinds of what can be paused."""

    TEAM = "team"
    CUSTOMER = "customer"
    KEY = "key"
    PROVIDER = "provider"


def command(
    kind: Annotated[Paused, typer.Argument(help="The kind of the name.", show_default=False)],
    name: Annotated[str, typer.Argument(help="The name in the configuration, or of a key.", show_default=False)],
    for_: Annotated[
        str | None, typer.Option("--for", help="The duration, such as `90s`, `15m`, `1h` or `2d`. Default: no end.")
    ] = None,
    reason: Annotated[str, typer.Option("--reason", help="Shown to clients, and by `pointsman health`.")] = "",
    url: Url = URL,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Pause all requests of a team, a customer or a virtual key, or take a provider out of use. Every worker rejects
    such requests at once: 403 `key_paused` with the reason. The pause ends by itself, or by `pointsman release`. The
    admin token comes from POINTSMAN_ADMIN_TOKEN or a file."""
    from pointsman.cli._admin import format_utc, post
    from pointsman.domain.holds import pause_name

    level = "virtual_key" if kind is Paused.KEY else kind.value
    hold = name if kind is Paused.PROVIDER else pause_name(level, name)
    data = {"name": hold, "reason": reason, "for_s": seconds_in(for_)}
    found = post(url, "health/holds", data, token_file)
    if as_json:
        print_json(found)
        return
    end = f"until {format_utc(found['until'])}" if found["until"] is not None else "without an end"
    print_line(f"the {kind.value} {name} is paused {end}; end it with `pointsman release {hold}`")
