"""Prints open batches."""

from typing import Any

from pointsman.cli._admin import URL
from pointsman.cli._options import AsJson, TokenFile, Url
from pointsman.cli._terminal import print_json, print_line, print_table


def command(url: Url = URL, token_file: TokenFile = None, as_json: AsJson = False) -> None:
    """Print the batches that are not settled yet, the amount that limits hold for each, and the reason if one could not
    be settled. Times are in UTC. The admin token comes from POINTSMAN_ADMIN_TOKEN or a file."""
    from pointsman.cli._admin import get

    found = get(url, "batches", {}, token_file)
    if as_json:
        print_json(found)
        return
    if not found:
        print_line("no open batches")
        return
    names = ("batch", "provider", "key", "held", "status", "requested", "problem")
    print_table(names, [_row(one) for one in found], {"held"})


def _row(one: dict[str, Any]) -> tuple[str, ...]:
    from pointsman.cli._admin import dollars, format_utc

    return (
        one["batch_id"] or one["attempt_id"],
        one["provider"],
        one["virtual_key"] or "-",
        dollars(one["held_nano"]),
        one["status"] or ("answer lost" if one["state"] == "sent" else "-"),
        format_utc(one["at"]),
        one["problem"] or "-",
    )
