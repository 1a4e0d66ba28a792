"""Prints the statement of a month."""

from typing import Annotated, Any

import typer

from pointsman.cli._admin import URL
from pointsman.cli._options import AsJson, TokenFile, Url
from pointsman.cli._terminal import print_json, print_line, print_row, print_table

_COLUMNS = ("customer", "team", "attempts", "tokens in", "tokens out", "cost")


def command(
    month: Annotated[str, typer.Option("--month", help="The month in UTC, such as 2026-11.")],
    customer: Annotated[str | None, typer.Option("--customer", help="Only this customer.")] = None,
    team: Annotated[str | None, typer.Option("--team", help="Only this team.")] = None,
    form: Annotated[
        str | None,
        typer.Option("--format", help="csv, by key, provider and model, or focus: CSV in the columns of FOCUS 1.2."),
    ] = None,
    url: Url = URL,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Print the spending of a month by customer and team. The admin token comes from POINTSMAN_ADMIN_TOKEN or a
    file."""
    from pointsman.cli._admin import get, stream

    if form is not None and form not in ("csv", "focus"):
        raise typer.BadParameter("use csv or focus", param_hint="--format")
    filters = {"month": month, "customer": customer, "team": team}
    if form is not None:
        for line in stream(url, "statements", {**filters, "format": form}, token_file):
            print_row(line)
        return
    found = get(url, "statements", filters, token_file)
    if as_json:
        print_json(found)
        return
    print_table(_COLUMNS, [_cells(one) for one in found["teams"]], numbers=set(_COLUMNS[2:]))
    end = "" if found["final"] else "; the month goes on, or a part is estimated"
    print_line(f"total: ${found['total']['cost_usd']}{end}")


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    counts = (f"{row[name]:,}" for name in ("attempts", "tokens_in", "tokens_out"))
    return (row["customer"] or "-", row["team"] or "-", *counts, f"${row['cost_usd']}")
