"""Print requests that were served, or why one went where it went."""

from pathlib import Path
from typing import Annotated

import typer


def command(
    request_id: Annotated[str | None, typer.Argument(help="One request, with all that is known of it.")] = None,
    key: Annotated[str | None, typer.Option("--key", help="Of this virtual key.")] = None,
    provider: Annotated[str | None, typer.Option("--provider", help="Served by this provider.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="How many.")] = 20,
    url: Annotated[str, typer.Option("--url", help="The console's address.")] = "http://127.0.0.1:8081",
    token_file: Annotated[Path | None, typer.Option("--token-file", help="A file with the admin token.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print the latest requests, or one with its attempts, verdicts and cost. The admin token comes from
    POINTSMAN_ADMIN_TOKEN or a file."""
    import json
    from datetime import datetime
    from urllib.parse import quote

    from rich.table import Table

    from pointsman.cli._admin import ask, print_table

    if request_id is not None:
        one = ask(url, f"requests/{quote(request_id, safe='')}", {}, token_file)
        typer.echo(json.dumps(one, indent=2))
        return
    found = ask(url, "requests", {"limit": limit, "key": key, "provider": provider}, token_file)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    table = Table()
    for name in ("time", "key", "model", "served by", "status", "cost in $", "id"):
        table.add_column(name)
    for row in found:
        moment = datetime.fromtimestamp(row["at"]).astimezone().strftime("%Y-%m-%d %H:%M:%S")
        named = (row["virtual_key"], row["model"], row["provider"])
        table.add_row(moment, *named, str(row["status"]), row["cost_usd"], row["request_id"])
    print_table(table)
