"""Print what was used and spent."""

from pathlib import Path
from typing import Annotated

import typer

_BY = ("key", "team", "customer", "provider", "model", "variant", "hour", "tag")


def command(
    by: Annotated[str, typer.Option("--by", help=f"Sum up by these, with commas: {', '.join(_BY)}.")] = "key,model",
    days: Annotated[float, typer.Option("--days", min=0.01, help="How far back.")] = 30.0,
    url: Annotated[str, typer.Option("--url", help="The console's address.")] = "http://127.0.0.1:8081",
    token_file: Annotated[Path | None, typer.Option("--token-file", help="A file with the admin token.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print what was used and spent, summed up. The admin token comes from POINTSMAN_ADMIN_TOKEN or a file."""
    import json
    import time

    from rich.table import Table

    from pointsman.cli._admin import ask, print_table

    names = [name.strip() for name in by.split(",") if name.strip()]
    if unknown := [name for name in names if name not in _BY]:
        raise typer.BadParameter(f"{unknown[0]!r} is none of {', '.join(_BY)}", param_hint="--by")
    found = ask(url, "usage", {"group_by": names, "since": time.time() - days * 86_400}, token_file)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    table = Table()
    for name in (*names, "attempts", "failures", "tokens in", "tokens out", "cost in $"):
        table.add_column(name)
    for row in found["rows"]:
        counts = (row.get("attempts", row.get("requests", "")), row.get("failures", ""))
        cells = (*(row.get(name, "") for name in names), *counts, row["tokens_in"], row["tokens_out"], row["cost_usd"])
        table.add_row(*map(str, cells))
    print_table(table)
