"""Prints recent requests, and follows new ones."""

from pathlib import Path
from typing import Annotated, Any

import typer

from pointsman.cli._admin import URL
from pointsman.cli._options import TokenFile, Url
from pointsman.cli._terminal import print_json, print_line, print_table, visible

PAUSE_S = 1.0
OVERLAP_S = 900.0  # requests are listed by their beginning, but appear when they have ended
MOST = 1000  # requests in one answer

_TIME = "%Y-%m-%d %H:%M:%SZ"
_COLUMNS = ("time", "key", "requested", "served by", "status", "cost", "id")


def command(  # noqa: PLR0913, PLR0917 -- each parameter is an option
    key: Annotated[str | None, typer.Option("--key", help="Only requests of this virtual key.")] = None,
    provider: Annotated[str | None, typer.Option("--provider", help="Only requests that this provider served.")] = None,
    model: Annotated[str | None, typer.Option("--model", help="Only requests for this model.")] = None,
    status: Annotated[int | None, typer.Option("--status", help="Only requests with this response status.")] = None,
    client_id: Annotated[
        str | None, typer.Option("--client-id", help="Only requests with this `x-request-id` from the client.")
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=MOST, help="The largest number of requests to print at first.")
    ] = 20,
    follow: Annotated[
        bool,
        typer.Option("--follow", "-f", help="Go on with new requests as they end, until Ctrl-C."),
    ] = False,
    url: Url = URL,
    token_file: TokenFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON; with --follow, a line for each.")] = False,
) -> None:
    """Print the latest requests; `pointsman trace ID` prints one with its attempts. Times are in UTC. The admin token
    comes from POINTSMAN_ADMIN_TOKEN or a file."""
    from pointsman.cli._admin import get

    filters = {"key": key, "provider": provider, "model": model, "status": status, "client_request_id": client_id}
    rows: list[dict[str, Any]] = get(url, "requests", {**filters, "limit": MOST if follow else limit}, token_file)
    if follow:
        _print_lines(rows[:limit][::-1], as_json=as_json)
        try:
            _follow(url, filters, token_file, {row["request_id"] for row in rows}, as_json=as_json)
        except KeyboardInterrupt:
            return
    elif as_json:
        print_json(rows)
    elif rows:
        print_table(_COLUMNS, map(_cells, rows), numbers={"cost"})
    else:
        print_line("no request found; new requests take a moment to appear, and old ones are deleted")


def _follow(url: str, filters: dict[str, Any], token_file: Path | None, seen: set[str], *, as_json: bool) -> None:
    """Print requests that have ended since, until interrupted. `seen` are the ids of earlier ones."""
    import time

    from pointsman.cli._admin import get

    is_warned = False
    while True:
        time.sleep(PAUSE_S)
        rows = get(url, "requests", {**filters, "since": time.time() - OVERLAP_S, "limit": MOST}, token_file)
        _print_lines([row for row in rows[::-1] if row["request_id"] not in seen], as_json=as_json)
        if len(rows) == MOST and not is_warned:
            is_warned = True
            span = f"{OVERLAP_S / 60:.0f} minutes"
            print_line(f"{MOST} requests or more in {span}: those that take long may be left out", err=True)
        seen.clear()
        seen.update(row["request_id"] for row in rows)


def _print_lines(rows: list[dict[str, Any]], *, as_json: bool) -> None:
    import json

    for row in rows:
        if as_json:
            print_line(json.dumps(row))
        else:
            print_line("  ".join(f"{visible(cell):{width}}" for cell, width in zip(_cells(row), _WIDTHS, strict=True)))


_WIDTHS = (20, 16, 24, 16, 6, 14, 36)


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    from pointsman.cli._admin import describe_uncertainty, dollars, format_utc

    return (
        format_utc(row["at"], _TIME),
        row["virtual_key"] or "-",
        row["model"] or "-",
        row["provider"] or "-",
        str(row["status"] or "worker died"),
        f"{dollars(row['cost_nano'])}{describe_uncertainty(row)}",
        row["request_id"],
    )
