"""Print what was used and spent."""

from pathlib import Path
from typing import Annotated, Any

import typer

from pointsman.cli._admin import URL
from pointsman.cli._terminal import plain, print_table, say, say_data

PAGE = 10_000  # rows
_BY = ("key", "team", "customer", "provider", "model", "variant", "hour", "day", "tag")


def command(  # noqa: PLR0913, PLR0917 -- each is an option of its own
    by: Annotated[str, typer.Option("--by", help=f"Sum up by these, with commas: {', '.join(_BY)}.")] = "key,model",
    days: Annotated[
        float | None, typer.Option("--days", min=0.01, max=36500, help="How far back; 30 when nothing is said.")
    ] = None,
    since: Annotated[
        str | None, typer.Option("--since", help="From this moment on: 2026-11-01, with a time, or Unix seconds; UTC.")
    ] = None,
    until: Annotated[str | None, typer.Option("--until", help="Up to this moment, which is no longer part.")] = None,
    key: Annotated[str | None, typer.Option("--key", help="Of this virtual key.")] = None,
    team: Annotated[str | None, typer.Option("--team", help="Of this team.")] = None,
    customer: Annotated[str | None, typer.Option("--customer", help="Of this customer.")] = None,
    provider: Annotated[str | None, typer.Option("--provider", help="At this provider.")] = None,
    model: Annotated[str | None, typer.Option("--model", help="Of this model, as its provider calls it.")] = None,
    variant: Annotated[str | None, typer.Option("--variant", help="Of this variant.")] = None,
    tag: Annotated[str | None, typer.Option("--tag", help="With this tag, as NAME=VALUE.")] = None,
    url: Annotated[str, typer.Option("--url", help="The console's address.")] = URL,
    token_file: Annotated[Path | None, typer.Option("--token-file", help="A file with the admin token.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV, all rows of it.")] = False,
) -> None:
    """Print what was used and spent, summed up; what cost most comes first. Sums are of whole hours. The admin token
    comes from POINTSMAN_ADMIN_TOKEN or a file."""
    import time

    from pointsman.cli._admin import ask, moment

    names = [name.strip() for name in by.split(",") if name.strip()]
    if unknown := [name for name in names if name not in _BY]:
        raise typer.BadParameter(f"{unknown[0]!r} is none of {', '.join(_BY)}", param_hint="--by")
    if as_csv and as_json:
        raise typer.BadParameter("choose --json or --csv", param_hint="--csv")
    if days is not None and since is not None:
        raise typer.BadParameter("choose --days or --since", param_hint="--days")
    end = moment(until, "--until") if until is not None else None
    start = moment(since, "--since") if since is not None else (end or time.time()) - (days or 30.0) * 86_400
    asked: dict[str, Any] = {"group_by": names, "since": max(0.0, start), "until": end, "limit": PAGE}
    asked |= {"key": key, "team": team, "customer": customer, "provider": provider}
    asked |= {"model": model, "variant": variant, "tag": tag}
    found = ask(url, "usage", asked, token_file)
    page = found
    while as_csv and page.get("more"):
        page = ask(url, "usage", {**asked, "offset": len(found["rows"])}, token_file)
        found["rows"] += page["rows"]
    if as_csv:
        _print_csv(names, found["rows"])
        return
    if as_json:
        say_data(found)
        return
    _print(names, found)
    if found.get("more"):
        say("there is more: sum up by fewer, or over fewer days", err=True)


def _print(names: list[str], found: dict[str, Any]) -> None:
    from pointsman.cli._admin import dollars

    rows = found["rows"]
    if not rows:
        say("nothing was used")
        return
    by_time = {"hour", "day"} & set(names)
    if not by_time:
        rows = sorted(rows, key=lambda row: -row["cost_nano"])
    counted = "requests" if any("requests" in row for row in rows) else "attempts"  # by tag it is requests
    numbers = (counted, "failures", "tokens in", "tokens out", "cost", "estimated", "reserved")
    lines = [
        (
            *(_moment(row[name]) if name in by_time else str(row.get(name) or "-") for name in names),
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
    say(_total(found))


def _total(found: dict[str, Any]) -> str:
    from pointsman.cli._admin import dollars

    total = found.get("total")
    if total is None:
        return "no total: a request with several tags counts once for each"
    said = f"together {dollars(total['cost_nano'])}"
    if total.get("estimated_nano"):
        said += f"; of it {dollars(total['estimated_nano'])} estimated"
    if total.get("reserved_nano"):
        said += f"; of it {dollars(total['reserved_nano'])} reserved by attempts of which nothing is known"
    if total.get("held_nano"):
        said += f"; budgets hold {dollars(total['held_nano'])} more until it is reconciled or their windows end"
    if total.get("unpriced"):
        said += f"; {total['unpriced']} attempts have no known price"
    return said


def _print_csv(names: list[str], rows: list[dict[str, Any]]) -> None:
    import csv
    import io

    numbers = list(dict.fromkeys(name for row in rows for name in row if name not in names))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="")
    for line in ([*names, *numbers], *([row.get(name, "") for name in (*names, *numbers)] for row in rows)):
        writer.writerow([plain(value) if isinstance(value, str) else value for value in line])
        say(text.getvalue())
        text.seek(text.truncate(0))


def _moment(at: int) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%MZ")
