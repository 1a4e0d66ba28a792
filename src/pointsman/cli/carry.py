"""Counts spending before this gateway in the present windows of budgets."""

from pathlib import Path
from typing import Annotated, Any

import typer

from pointsman.cli._admin import URL
from pointsman.cli._options import AsJson, TokenFile, Url
from pointsman.cli._terminal import print_json, print_line

_FILE = 'A JSON list of amounts, such as `[{"owner": "team:research", "per": "month", "usd": "29.90"}]`.'


def command(
    file: Annotated[Path, typer.Argument(help=_FILE, show_default=False)],
    url: Url = URL,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Count what was spent before this gateway in the present windows of budgets. `pointsman import` writes such a file
    from the spending of another gateway.

    Each window takes an amount once, so the command may be repeated. If some amounts are rejected, it prints the
    reasons, accepts the others, and exits with 1. The admin token comes from POINTSMAN_ADMIN_TOKEN or a file.
    """
    from pointsman.cli._admin import post_in_batches

    amounts = _read(file)
    carried, refused = 0, []
    for answer in post_in_batches(url, "budgets/carried", "amounts", amounts, token_file):
        carried += answer["carried"]
        refused += answer["refused"]
    if as_json:
        print_json({"carried": carried, "refused": refused})
    else:
        for one in refused:
            print_line(f"{one['owner']} per {one['period']}: {one['message']}", err=True)
        print_line(f"carried {carried} of {len(amounts)} amounts")
    raise typer.Exit(1 if refused else 0)


def _read(file: Path) -> list[Any]:
    import json

    try:
        amounts = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not JSON"
        raise typer.BadParameter(f"{file}: {reason}", param_hint="FILE") from None
    if not isinstance(amounts, list) or not amounts:
        raise typer.BadParameter(f"{file} has no list of amounts", param_hint="FILE")
    return amounts
