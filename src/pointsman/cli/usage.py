"""Prints usage and spending."""

from typing import Annotated, Any

import typer

from pointsman.cli._admin import URL
from pointsman.cli._options import AsJson, TokenFile, Url
from pointsman.cli._terminal import plain, print_json, print_line, print_table

PAGE = 10_000  # rows
_BY = ("key", "team", "customer", "provider", "model", "variant", "hour", "day", "tag")


def command(  # noqa: PLR0913, PLR0917 -- each parameter is an option
    by: Annotated[
        str, typer.Option("--by", help=f"Fields to group by, separated by commas: {', '.join(_BY)}.")
    ] = "key,model",
    days: Annotated[
        float | None, typer.Option("--days", min=0.01, max=36500, help="The number of days to include. Default: 30.")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            "--since", help="The start in UTC: a date such as 2026-11-01, a date with a time, or Unix seconds."
        ),
    ] = None,
    until: Annotated[str | None, typer.Option("--until", help="The end, exclusive, in the same formats.")] = None,
    key: Annotated[str | None, typer.Option("--key", help="Only this virtual key.")] = None,
    team: Annotated[str | None, typer.Option("--team", help="Only this team.")] = None,
    customer: Annotated[str | None, typer.Option("--customer", help="Only this customer.")] = None,
    provider: Annotated[str | None, typer.Option("--provider", help="Only this provider.")] = None,
    model: Annotated[
        str | None, typer.Option("--model", help="Only this model, under its provider's name for it.")
    ] = None,
    variant: Annotated[str | None, typer.Option("--variant", help="Only this variant.")] = None,
    tag: Annotated[str | None, typer.Option("--tag", help="Only this tag, as NAME=VALUE.")] = None,
    url: Url = URL,
    token_file: TokenFile = None,
    as_json: AsJson = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print all rows as CSV.")] = False,
) -> None:
    """Print usage and spending by group, highest cost first; if grouped by hour or day, in the order of --by. Sums
    cover whole hours. Times are in UTC. The admin token comes from POINTSMAN_ADMIN_TOKEN or a file."""
    import time

    from pointsman.cli._admin import get, parse_time

    names = [name.strip() for name in by.split(",") if name.strip()]
    if unknown := [name for name in names if name not in _BY]:
        raise typer.BadParameter(f"unknown field {unknown[0]!r}; use {', '.join(_BY)}", param_hint="--by")
    if as_csv and as_json:
        raise typer.BadParameter("use only one of --json and --csv", param_hint="--csv")
    if days is not None and since is not None:
        raise typer.BadParameter("use only one of --days and --since", param_hint="--days")
    end = parse_time(until, "--until") if until is not None else None
    start = parse_time(since, "--since") if since is not None else (end or time.time()) - (days or 30.0) * 86_400
    parameters: dict[str, Any] = {"group_by": names, "since": max(0.0, start), "until": end, "limit": PAGE}
    parameters |= {"key": key, "team": team, "customer": customer, "provider": provider}
    parameters |= {"model": model, "variant": variant, "tag": tag}
    found = get(url, "usage", parameters, token_file)
    page = found
    while as_csv and page.get("more"):
        page = get(url, "usage", {**parameters, "offset": len(found["rows"])}, token_file)
        found["rows"] += page["rows"]
    if as_csv:
        _print_csv(names, found["rows"])
        return
    if as_json:
        print_json(found)
        return
    _print(names, found)
    if found.get("more"):
        print_line("more rows exist; group by fewer fields, or choose fewer days", err=True)


def _print(names: list[str], found: dict[str, Any]) -> None:
    from pointsman.cli._admin import dollars, format_utc

    rows = found["rows"]
    if not rows:
        print_line("no usage found")
        return
    by_time = {"hour", "day"} & set(names)
    if not by_time:
        rows = sorted(rows, key=lambda row: -row["cost_nano"])
    counted = "requests" if any("requests" in row for row in rows) else "attempts"  # a tag counts requests
    numbers = (counted, "failures", "tokens in", "tokens out", "cost", "estimated", "reserved")
    lines = [
        (
            *(format_utc(row[name]) if name in by_time else str(row.get(name) or "-") for name in names),
            f"{row.get(counted, 0):,}",
            f"{row.get('failures', 0):,}" if counted == "attempts" else "-",
            f"{row['tokens_in']:,}",
            f"{row['tokens_out']:,}",
            dollars(row["cost_nano"]),
            *(dollars(row[part]) if row.get(part) else "-" for part in ("estimated_nano", "reserved_nano")),
        )
        for row in rows
    ]
    print_table((*names, *numbers), lines, numbers=set(numbers))
    print_line(_total(found))


def _total(found: dict[str, Any]) -> str:
    from pointsman.cli._admin import dollars

    total = found.get("total")
    if total is None:
        return "no total: a request with several tags counts once per tag"
    line = f"total {dollars(total['cost_nano'])}"
    if total.get("estimated_nano"):
        line += f"; of which {dollars(total['estimated_nano'])} estimated"
    if total.get("reserved_nano"):
        line += f"; of which {dollars(total['reserved_nano'])} reserved by attempts with unknown cost"
    if total.get("held_nano"):
        line += f"; budgets hold {dollars(total['held_nano'])} more until reconciled or until the windows end"
    if total.get("unpriced"):
        line += f"; {total['unpriced']} attempts have no known price"
    return line


def _print_csv(names: list[str], rows: list[dict[str, Any]]) -> None:
    import csv
    import io

    numbers = list(dict.fromkeys(name for row in rows for name in row if name not in names))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="")
    for line in ([*names, *numbers], *([row.get(name, "") for name in (*names, *numbers)] for row in rows)):
        writer.writerow([plain(value) if isinstance(value, str) else value for value in line])
        print_line(text.getvalue())
        text.seek(text.truncate(0))
