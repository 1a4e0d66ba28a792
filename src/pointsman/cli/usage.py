"""Prints usage and spending."""

from typing import Annotated, Any

import typer

from pointsman.cli._admin import URL
from pointsman.cli._options import AsJson, TokenFile, Url
from pointsman.cli._terminal import plain, print_json, print_line, print_table, visible

PAGE = 10_000  # rows
_TIMES = ("minute", "hour", "day")
_BY = ("key", "team", "customer", "provider", "model", "variant", "status", *_TIMES, "tag")
_MEASURES = {"cost": "cost_nano", "requests": "requests", "tokens": "tokens"}
BAR = 60  # the longest bar of a chart, in characters


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
    status: Annotated[int | None, typer.Option("--status", help="Only this response status.")] = None,
    tag: Annotated[str | None, typer.Option("--tag", help="Only this tag, as NAME=VALUE.")] = None,
    url: Url = URL,
    token_file: TokenFile = None,
    as_json: AsJson = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print all rows as CSV.")] = False,
    as_chart: Annotated[bool, typer.Option("--chart", help="Print a bar for each row.")] = False,
    measure: Annotated[
        str, typer.Option("--measure", help=f"The length of the bars: {', '.join(_MEASURES)}.")
    ] = "cost",
) -> None:
    """Print usage and spending by group, highest cost first; if grouped by hour or day, in the order of --by. Sums
    cover whole hours. Times are in UTC. The admin token comes from POINTSMAN_ADMIN_TOKEN or a file."""
    import time

    from pointsman.cli._admin import get, parse_time

    names = [name.strip() for name in by.split(",") if name.strip()]
    if unknown := [name for name in names if name not in _BY]:
        raise typer.BadParameter(f"unknown field {unknown[0]!r}; use {', '.join(_BY)}", param_hint="--by")
    if as_csv + as_json + as_chart > 1:
        raise typer.BadParameter("use only one of --json, --csv and --chart", param_hint="--csv")
    if measure not in _MEASURES:
        raise typer.BadParameter(f"use one of {', '.join(_MEASURES)}", param_hint="--measure")
    if days is not None and since is not None:
        raise typer.BadParameter("use only one of --days and --since", param_hint="--days")
    end = parse_time(until, "--until") if until is not None else None
    start = parse_time(since, "--since") if since is not None else (end or time.time()) - (days or 30.0) * 86_400
    parameters: dict[str, Any] = {"group_by": names, "since": max(0.0, start), "until": end, "limit": PAGE}
    parameters |= {"key": key, "team": team, "customer": customer, "provider": provider}
    parameters |= {"model": model, "variant": variant, "status": status, "tag": tag}
    found = get(url, "usage", parameters, token_file)
    page = found
    while as_csv and page.get("more"):
        page = get(url, "usage", {**parameters, "offset": len(found["rows"])}, token_file)
        found["rows"] += page["rows"]
    if as_csv:
        _print_csv(names, found["rows"])
    elif as_json:
        print_json(found)
    elif as_chart:
        for line in chart(names, found["rows"], measure):
            print_line(line)
    else:
        _print(names, found)
    if found.get("more") and not as_csv and not as_json:
        print_line("more rows exist; group by fewer fields, or choose fewer days", err=True)


def _print(names: list[str], found: dict[str, Any]) -> None:
    from pointsman.cli._admin import dollars, format_utc

    rows = found["rows"]
    if not rows:
        print_line("no usage found")
        return
    by_time = set(_TIMES) & set(names)
    if not by_time:
        rows = sorted(rows, key=lambda row: -row["cost_nano"])
    counted = "requests" if any("requests" in row for row in rows) else "attempts"  # tags and status count requests
    numbers = (counted, "failures", "tokens in", "tokens out", "cost", "estimated", "reserved")
    lines = [
        (
            *(format_utc(row[name]) if name in by_time else str(row.get(name) or "-") for name in names),
            f"{row.get(counted, 0):,}",
            f"{row['failures']:,}" if "failures" in row else "-",
            f"{row['tokens_in']:,}",
            f"{row['tokens_out']:,}",
            dollars(row["cost_nano"]),
            *(dollars(row[part]) if row.get(part) else "-" for part in ("estimated_nano", "reserved_nano")),
        )
        for row in rows
    ]
    print_table((*names, *numbers), lines, numbers=set(numbers))
    print_line(_total(found))


def chart(names: list[str], rows: list[dict[str, Any]], measure: str) -> list[str]:
    """Return a line for each row: its names, a bar in proportion to a measure, and the amount. Rows by time are in
    order of time, and others begin with the largest."""
    from pointsman.cli._admin import dollars

    def amount(row: dict[str, Any]) -> int:
        if measure == "tokens":
            return int(row["tokens_in"] + row["tokens_out"])
        return int(row.get(_MEASURES[measure], row.get("attempts", 0)))

    if not rows:
        return ["no usage found"]
    if not set(_TIMES) & set(names):
        rows = sorted(rows, key=lambda row: -amount(row))
    labels = ["  ".join(_label(name, row) for name in names) or "all" for row in rows]
    width, most = max(map(len, labels)), max(map(amount, rows))
    lines = []
    for label, row in zip(labels, rows, strict=True):
        shown = dollars(amount(row)) if measure == "cost" else f"{amount(row):,}"
        lines.append(f"{label:{width}}  {_bar(amount(row), most)} {shown}")
    return lines


def _bar(value: int, most: int) -> str:
    """Return a bar in eighths of a character."""
    whole, eighths = divmod(round(8 * BAR * max(value, 0) / most), 8) if most > 0 else (0, 0)
    return "█" * whole + (chr(0x2590 - eighths) if eighths else "")


def _label(name: str, row: dict[str, Any]) -> str:
    from pointsman.cli._admin import format_utc

    if name in _TIMES:
        return format_utc(row[name], "%Y-%m-%d" if name == "day" else "%Y-%m-%d %H:%MZ")
    return visible(str(row.get(name) or "-"))


def _total(found: dict[str, Any]) -> str:
    from pointsman.cli._admin import dollars

    total = found.get("total")
    if total is None:
        return "no total: minutes are deleted first, and a request with several tags counts once per tag"
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
