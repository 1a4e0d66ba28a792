"""Print what was used and spent."""

from pathlib import Path
from typing import Annotated, Any

import typer

from pointsman.cli._admin import URL

_BY = ("key", "team", "customer", "provider", "model", "variant", "hour", "day", "tag")


def command(  # noqa: PLR0913, PLR0917 -- each is an option of its own
    by: Annotated[str, typer.Option("--by", help=f"Sum up by these, with commas: {', '.join(_BY)}.")] = "key,model",
    days: Annotated[float, typer.Option("--days", min=0.01, max=36500, help="How far back.")] = 30.0,
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
) -> None:
    """Print what was used and spent, summed up; what cost most comes first. The admin token comes from
    POINTSMAN_ADMIN_TOKEN or a file."""
    import json
    import time

    from pointsman.cli._admin import ask

    names = [name.strip() for name in by.split(",") if name.strip()]
    if unknown := [name for name in names if name not in _BY]:
        raise typer.BadParameter(f"{unknown[0]!r} is none of {', '.join(_BY)}", param_hint="--by")
    asked: dict[str, Any] = {"group_by": names, "since": max(0.0, time.time() - days * 86_400), "limit": 10_000}
    asked |= {"key": key, "team": team, "customer": customer, "provider": provider}
    found = ask(url, "usage", {**asked, "model": model, "variant": variant, "tag": tag}, token_file)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    _print(names, found["rows"])
    if found.get("more"):
        typer.echo("there is more: sum up by fewer, or over fewer days", err=True)


def _print(names: list[str], rows: list[dict[str, Any]]) -> None:
    from pointsman.cli._admin import dollars, print_table

    by_time = {"hour", "day"} & set(names)
    if not by_time:
        rows = sorted(rows, key=lambda row: -row["cost_nano"])
    counted = "requests" if any("requests" in row for row in rows) else "attempts"  # by tag it is requests
    numbers = (counted, "failures", "tokens in", "tokens out", "cost")
    lines = [
        (
            *(_moment(row[name]) if name in by_time else str(row.get(name) or "-") for name in names),
            f"{row.get(counted, 0):,}",
            f"{row.get('failures', 0):,}" if counted == "attempts" else "-",
            f"{row['tokens_in']:,}",
            f"{row['tokens_out']:,}",
            dollars(row["cost_nano"]),
        )
        for row in rows
    ]
    print_table((*names, *numbers), lines, numbers=set(numbers))
    total = f"together {dollars(sum(row['cost_nano'] for row in rows))}"
    unsettled = sum(row.get("unsettled_nano", 0) for row in rows)
    unpriced = sum(row.get("unpriced", 0) for row in rows)
    if unsettled:
        total += f"; of it {dollars(unsettled)} reserved by attempts whose outcome is unknown"
    if unpriced:
        total += f"; {unpriced} attempts have no known price"
    typer.echo(total)


def _moment(at: int) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%MZ")
