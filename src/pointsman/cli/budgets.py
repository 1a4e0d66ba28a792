"""Prints the use of limits."""

from typing import Annotated, Any

import typer

from pointsman.cli._admin import URL
from pointsman.cli._options import AsJson, TokenFile, Url
from pointsman.cli._terminal import print_json, print_line, print_table


def command(
    owner: Annotated[str | None, typer.Option("--owner", help="Only this owner, such as team:research.")] = None,
    past: Annotated[bool, typer.Option("--past", help="Include windows that have ended.")] = False,
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=10_000, help="The largest number of limits to print.")
    ] = 1000,
    url: Url = URL,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Print every limit and the amount left in its current window. Times are in UTC. The admin token comes from
    POINTSMAN_ADMIN_TOKEN or a file."""
    from pointsman.cli._admin import get

    parameters = {"owner": owner, "past": "true" if past else None, "limit": limit}
    limits = get(url, "budgets", parameters, token_file)
    if as_json:
        print_json(limits)
        return
    if not limits:
        print_line("no limits found")
        return
    numbers = ("limit", "used", "leased", "left")
    print_table(("owner", "per", *numbers, "of", "since"), [_row(one) for one in limits], set(numbers))
    if len(limits) == limit:
        print_line("more limits may exist; name an owner, or raise --limit", err=True)


def _row(one: dict[str, Any]) -> tuple[str, ...]:
    from pointsman.cli._admin import dollars, format_utc

    def amount(value: int) -> str:
        return dollars(value) if one["metric"] == "usd" else f"{value:,}"

    limit = one["limit"]
    since = format_utc(one["window_start"])
    return (
        one["owner"],
        one["period"],
        (amount(limit) if limit is not None else "removed") + (", soft" if one["soft"] else ""),
        amount(one["posted"]),
        amount(one["lent"]),
        amount(max(0, limit - one["posted"])) if limit is not None else "-",
        "money" if one["metric"] == "usd" else one["metric"],
        since,
    )
