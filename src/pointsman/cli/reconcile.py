"""Say what attempts cost whose provider did not."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from pointsman.cli._admin import URL
from pointsman.cli._terminal import say, say_data

AT_ONCE = 500
_HELP = {
    "what": "A file with attempts and what they cost: CSV with the columns attempt_id and usd, or a JSON object with "
    "these on each line. With --usd: one attempt.",
    "usd": "What the one attempt cost, in dollars.",
}


def command(
    what: Annotated[str, typer.Argument(metavar="FILE|ATTEMPT", help=_HELP["what"], show_default=False)],
    usd: Annotated[str | None, typer.Option("--usd", help=_HELP["usd"])] = None,
    url: Annotated[str, typer.Option("--url", help="The console's address.")] = URL,
    token_file: Annotated[Path | None, typer.Option("--token-file", help="A file with the admin token.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what attempts cost that are estimated or reserved, by their provider's bill: reports are corrected, and
    budgets hold no more of them. `GET /api/v1/unsettled` lists those that there are.

    Each attempt is reconciled once. Exits with 1 when some were not taken, and says why; the others are. The admin
    token comes from POINTSMAN_ADMIN_TOKEN or a file.
    """
    from pointsman.cli._admin import send

    amounts = [{"attempt_id": what, "usd": _usd(usd, "--usd")}] if usd is not None else list(_read(Path(what)))
    if not amounts:
        raise typer.BadParameter(f"{what} names no attempt", param_hint="FILE")
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
    """Attempts and amounts of a file, each attempt once."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        said = getattr(error, "strerror", None) or "it is not text"
        message = f"{file} cannot be read: {said}; to reconcile one attempt, say what it cost with --usd"
        raise typer.BadParameter(message, param_hint="FILE") from None
    seen: set[str] = set()
    for number, row in _rows(text, file):
        attempt = str(row.get("attempt_id") or "").strip()
        if not attempt or row.get("usd") in (None, ""):
            raise typer.BadParameter(f"{file}:{number}: needs attempt_id and usd", param_hint="FILE")
        if attempt in seen:
            raise typer.BadParameter(f"{file}:{number}: {attempt!r} stands there twice", param_hint="FILE")
        seen.add(attempt)
        yield {"attempt_id": attempt, "usd": _usd(str(row["usd"]), f"{file}:{number}")}


def _rows(text: str, file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows of CSV or of JSON objects, with the numbers of their lines."""
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
            raise typer.BadParameter(f"{file}:{number}: is no JSON object", param_hint="FILE")
        yield number, found


def _usd(text: str, where: str) -> str:
    """An amount as it is sent, exact."""
    from decimal import Decimal, InvalidOperation

    try:
        amount = Decimal(text.strip().removeprefix("$"))
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or amount < 0:
        raise typer.BadParameter(f"{text!r} is no amount in dollars, such as 0.0014", param_hint=where)
    return str(amount)
