"""Sets the cost of attempts that the provider did not report."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from pointsman.cli._admin import URL
from pointsman.cli._options import AsJson, TokenFile, Url
from pointsman.cli._terminal import say, say_data

AT_ONCE = 500
_HELP = {
    "what": "A file with attempts and costs: CSV with the columns attempt_id and usd, or one JSON object per line "
    "with these fields. With --usd: the id of one attempt.",
    "usd": "The cost of the one attempt, in dollars.",
}


def command(
    what: Annotated[str, typer.Argument(metavar="FILE|ATTEMPT", help=_HELP["what"], show_default=False)],
    usd: Annotated[str | None, typer.Option("--usd", help=_HELP["usd"])] = None,
    url: Url = URL,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Set the cost of estimated or reserved attempts, from the provider's bill. This corrects reports, and budgets
    release the excess. `GET /api/v1/unsettled` lists such attempts.

    Each attempt is reconciled once. If some are rejected, the command prints the reasons, accepts the others, and exits
    with 1. The admin token comes from POINTSMAN_ADMIN_TOKEN or a file.
    """
    from pointsman.cli._admin import send

    amounts = [{"attempt_id": what, "usd": _usd(usd, "--usd")}] if usd is not None else list(_read(Path(what)))
    if not amounts:
        raise typer.BadParameter(f"{what} contains no attempts", param_hint="FILE")
    taken: list[str] = []
    refused: list[dict[str, str]] = []
    for first in range(0, len(amounts), AT_ONCE):
        answer = send(url, "reconcile", {"attempts": amounts[first : first + AT_ONCE]}, token_file, expected={409})
        answer = answer.get("error", answer)
        taken += answer["taken"]
        refused += answer["refused"]
    if as_json:
        say_data({"taken": taken, "refused": refused})
    else:
        for one in refused:
            say(f"{one['attempt_id']}: {one['message']}", err=True)
        say(f"reconciled {len(taken)} of {len(amounts)} attempts")
    raise typer.Exit(1 if refused else 0)


def _read(file: Path) -> Iterator[dict[str, str]]:
    """Read attempts and amounts from a file, each attempt once."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        said = getattr(error, "strerror", None) or "the file is not text"
        message = f"cannot read {file}: {said}; to reconcile one attempt, set its cost with --usd"
        raise typer.BadParameter(message, param_hint="FILE") from None
    seen: set[str] = set()
    for number, row in _rows(text, file):
        attempt = str(row.get("attempt_id") or "").strip()
        if not attempt or row.get("usd") in (None, ""):
            raise typer.BadParameter(f"{file}:{number}: attempt_id and usd are required", param_hint="FILE")
        if attempt in seen:
            raise typer.BadParameter(f"{file}:{number}: duplicate attempt {attempt!r}", param_hint="FILE")
        seen.add(attempt)
        yield {"attempt_id": attempt, "usd": _usd(str(row["usd"]), f"{file}:{number}")}


def _rows(text: str, file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Return the rows of CSV or of JSON objects, with their line numbers."""
    import csv
    import json
    from decimal import Decimal

    lines = text.splitlines()
    if not text.lstrip().startswith("{"):
        reader = csv.DictReader(lines, skipinitialspace=True)
        for row in reader:
            yield reader.line_num, row
        return
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            found = json.loads(line, parse_float=Decimal)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise typer.BadParameter(f"{file}:{number}: not a JSON object", param_hint="FILE")
        yield number, found


def _usd(text: str, where: str) -> str:
    """Convert an amount to its wire form without rounding."""
    from decimal import Decimal, InvalidOperation

    try:
        amount = Decimal(text.strip().removeprefix("$"))
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or amount < 0:
        raise typer.BadParameter(f"{text!r} is not an amount in dollars, such as 0.0014", param_hint=where)
    return str(amount)
