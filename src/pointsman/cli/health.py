"""Prints the states of providers' models and keys, and the holds of operators."""

from typing import Any

from pointsman.cli._admin import URL
from pointsman.cli._options import AsJson, TokenFile, Url
from pointsman.cli._terminal import print_json, print_line, print_table


def command(url: Url = URL, token_file: TokenFile = None, as_json: AsJson = False) -> None:
    """Print the holds in force, and every provider's model and key that had a fault since the start, the worst first:
    its state, since when, at how many workers, and the reason. The admin token comes from POINTSMAN_ADMIN_TOKEN or a
    file."""
    from pointsman.cli._admin import format_utc, get

    found = get(url, "health", {}, token_file)
    if as_json:
        print_json(found)
        return
    if found["suspecting_workers"]:
        print_line("most providers failed together: check this machine's network and DNS. No breaker opens for now")
    if found["holds"]:
        print_table(("hold", "use", "since", "until", "reason"), map(_hold, found["holds"]), numbers=set())
    if found["states"]:
        rows = [
            (
                row["provider"],
                row["model"],
                f"key {row['key']}" if "key" in row else row["operation"],
                row["state"],
                format_utc(row["since"], "%Y-%m-%d %H:%M:%SZ"),
                ", ".join(f"{count} {state}" for state, count in row["workers"].items()),
                row["reason"],
            )
            for row in found["states"]
        ]
        columns = ("provider", "model", "part", "state", "since", "workers", "reason")
        print_table(columns, rows, numbers=set())
    if not found["holds"] and not found["states"]:
        print_line("no provider has had a fault since the start, and nothing is held")


def _hold(hold: dict[str, Any]) -> tuple[str, ...]:
    from pointsman.cli._admin import format_utc

    until = format_utc(hold["until"]) if hold["until"] is not None else "released"
    return hold["name"], hold["effect"], format_utc(hold["at"]), until, hold["reason"] or "-"
