"""Prints or exports recent requests, and follows new ones."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from pointsman.cli._admin import URL
from pointsman.cli._options import TokenFile, Url
from pointsman.cli._terminal import print_json, print_line, print_row, print_table, visible

PAUSE_S = 1.0
MOST = 1000  # requests in one answer
EXPORTED = 20_000  # requests in one answer of an export

_TIME = "%Y-%m-%d %H:%M:%SZ"
_COLUMNS = ("time", "key", "requested", "served by", "status", "cost", "id")


def command(  # noqa: PLR0913, PLR0917 -- each parameter is an option
    key: Annotated[str | None, typer.Option("--key", help="Only requests of this virtual key.")] = None,
    team: Annotated[str | None, typer.Option("--team", help="Only requests of this team.")] = None,
    customer: Annotated[str | None, typer.Option("--customer", help="Only requests of this customer.")] = None,
    provider: Annotated[str | None, typer.Option("--provider", help="Only requests that this provider served.")] = None,
    model: Annotated[str | None, typer.Option("--model", help="Only requests for this model.")] = None,
    status: Annotated[int | None, typer.Option("--status", help="Only requests with this response status.")] = None,
    error: Annotated[bool, typer.Option("--error", help="Only requests that failed.")] = False,
    code: Annotated[str | None, typer.Option("--code", help="Only requests that failed with this code.")] = None,
    session: Annotated[str | None, typer.Option("--session", help="Only requests of this session.")] = None,
    tag: Annotated[str | None, typer.Option("--tag", help="Only requests with this tag, as NAME=VALUE.")] = None,
    min_cost: Annotated[
        float | None, typer.Option("--min-cost", min=0, help="Only requests that cost at least this, in dollars.")
    ] = None,
    min_duration: Annotated[
        float | None, typer.Option("--min-duration", min=0, help="Only requests that took at least this, in seconds.")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            "--since", help="The start in UTC: a date such as 2026-11-01, a date with a time, or Unix seconds."
        ),
    ] = None,
    until: Annotated[str | None, typer.Option("--until", help="The end, exclusive, in the same formats.")] = None,
    client_id: Annotated[
        str | None, typer.Option("--client-id", help="Only requests with this `x-request-id` from the client.")
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option("--limit", min=1, help="The most requests to print at first. Default: 20; none with --format."),
    ] = None,
    form: Annotated[
        str | None, typer.Option("--format", help="Export all requests: jsonl (their whole records) or csv.")
    ] = None,
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
    from pointsman.cli._admin import get, parse_time

    if form is not None and form not in ("jsonl", "csv"):
        raise typer.BadParameter("use jsonl or csv", param_hint="--format")
    if form is not None and (follow or as_json):
        raise typer.BadParameter("use it without --follow and --json", param_hint="--format")
    filters: dict[str, Any] = {
        "key": key, "team": team, "customer": customer, "provider": provider, "model": model, "status": status,
        "error": error or None, "code": code, "session": session, "tag": tag, "min_duration_s": min_duration,
        "min_cost_usd": f"{min_cost:.9f}" if min_cost is not None else None, "client_request_id": client_id,
        "since": parse_time(since, "--since") if since is not None else None,
        "until": parse_time(until, "--until") if until is not None else None,
    }  # fmt: skip
    if form is not None:
        _export(url, {**filters, "format": form}, limit, token_file)
    elif follow:
        start = get(url, "requests/follow", filters, token_file)
        _print_lines(_latest(url, filters, limit or 20, token_file)[::-1], as_json=as_json)
        try:
            _follow(url, filters, token_file, start["position"], as_json=as_json)
        except KeyboardInterrupt:
            return
    else:
        _print(_latest(url, filters, limit or 20, token_file), as_json=as_json)


def _print(rows: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        print_json(rows)
    elif rows:
        print_table(_COLUMNS, map(_cells, rows), numbers={"cost"})
    else:
        print_line("no request found; new requests take a moment to appear, and old ones are deleted")


def _latest(url: str, filters: dict[str, Any], limit: int, token_file: Path | None) -> list[dict[str, Any]]:
    """Return the newest requests, from as many pages as that takes."""
    from pointsman.cli._admin import get_page

    rows: list[dict[str, Any]] = []
    before: str | None = None
    while True:
        wanted = {**filters, "before": before, "limit": min(MOST, limit - len(rows))}
        page, before = get_page(url, "requests", wanted, token_file)
        rows += page
        if before is None or len(rows) >= limit:
            return rows


def _export(url: str, filters: dict[str, Any], limit: int | None, token_file: Path | None) -> None:
    """Print requests as they arrive. Each answer has a part of them, so that none takes long."""
    left, before = limit, None
    is_csv, is_first = filters["format"] == "csv", True
    while left is None or left > 0:
        wanted = EXPORTED if left is None else min(EXPORTED, left)
        count = 0
        for row, last in _exported(url, {**filters, "before": before, "limit": wanted}, token_file):
            is_head = is_csv and last == "request_id"
            if is_head and not is_first:
                continue
            is_first = False
            print_row(row)
            if not is_head:
                count, before = count + 1, last
        if count < wanted:
            return
        left = left - count if left is not None else None


def _exported(url: str, parameters: dict[str, Any], token_file: Path | None) -> Iterator[tuple[str, str]]:
    """Yield exported lines, each with the id of its request. A quoted cell of CSV may have several lines of text."""
    import csv
    import json

    from pointsman.cli._admin import stream

    text = ""
    for line in stream(url, "requests/export", parameters, token_file):
        if parameters["format"] == "jsonl":
            yield line, json.loads(line)["request_id"]
            continue
        text += line
        if text.count('"') % 2 == 0:
            yield text, next(csv.reader([text]))[0]
            text = ""


def _follow(url: str, filters: dict[str, Any], token_file: Path | None, position: int, *, as_json: bool) -> None:
    """Print requests that have ended since, until interrupted. They are asked for by their position in the log."""
    import time

    from pointsman.cli._admin import get

    while True:
        found = get(url, "requests/follow", {**filters, "stored_after": position, "limit": MOST}, token_file)
        _print_lines(found["rows"], as_json=as_json)
        if found["position"] == position:
            time.sleep(PAUSE_S)
        position = found["position"]


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
