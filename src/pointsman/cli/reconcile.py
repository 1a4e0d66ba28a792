"""Sets the cost of attempts that the provider did not report, and compares costs with a provider's export."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from pointsman.cli._admin import URL
from pointsman.cli._options import AsJson, TokenFile, Url
from pointsman.cli._terminal import print_json, print_line, print_table

_HELP = {
    "source": "A file with attempts and costs: CSV with the columns attempt_id and usd, or one JSON object per line "
    "with these fields. With --usd: the id of one attempt.",
    "usd": "The cost of the one attempt, in dollars.",
    "provider": "Compare with FILE instead, an export of this provider's usage or costs: an answer of the usage or "
    "cost API of OpenAI or Anthropic, or CSV.",
    "column": "With --provider and CSV: the column of `day`, `model`, `usd`, `tokens_in` or `tokens_out`, such as "
    "usd=Cost.",
}


def command(
    source: Annotated[str, typer.Argument(metavar="FILE|ATTEMPT", help=_HELP["source"], show_default=False)],
    usd: Annotated[str | None, typer.Option("--usd", help=_HELP["usd"])] = None,
    provider: Annotated[str | None, typer.Option("--provider", help=_HELP["provider"])] = None,
    column: Annotated[list[str] | None, typer.Option("--column", metavar="NAME=COLUMN", help=_HELP["column"])] = None,
    url: Url = URL,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Set the cost of estimated or reserved attempts, from the provider's bill. This corrects reports, and budgets
    release the excess. `GET /api/v1/unsettled` lists such attempts.

    Each attempt is reconciled once. If some are rejected, the command prints the reasons, accepts the others, and exits
    with 1. The admin token comes from POINTSMAN_ADMIN_TOKEN or a file.

    With --provider, change nothing: print the difference between the gateway's sums and the provider's, by day in UTC
    and model.
    """
    from pointsman.cli._admin import post_in_batches

    if provider is not None:
        _compare(Path(source), provider, _mapping(column or []), url, token_file, as_json=as_json)
        return
    amounts = [{"attempt_id": source, "usd": _usd(usd, "--usd")}] if usd is not None else list(_read(Path(source)))
    if not amounts:
        raise typer.BadParameter(f"{source} contains no attempts", param_hint="FILE")
    reconciled: list[str] = []
    rejected: list[dict[str, str]] = []
    for answer in post_in_batches(url, "reconcile", "attempts", amounts, token_file):
        reconciled += answer["taken"]
        rejected += answer["refused"]
    if as_json:
        print_json({"taken": reconciled, "refused": rejected})
    else:
        for one in rejected:
            print_line(f"{one['attempt_id']}: {one['message']}", err=True)
        print_line(f"reconciled {len(reconciled)} of {len(amounts)} attempts")
    raise typer.Exit(1 if rejected else 0)


def _mapping(pairs: list[str]) -> dict[str, str]:
    from pointsman.cli._provider_exports import COLUMNS

    found = dict(pair.partition("=")[::2] for pair in pairs)
    if unknown := sorted(set(found) - set(COLUMNS)):
        message = f"{unknown[0]!r} is no column; use {', '.join(COLUMNS)}"
        raise typer.BadParameter(message, param_hint="--column")
    return found


def _compare(
    file: Path, provider: str, columns: dict[str, str], url: str, token_file: Path | None, *, as_json: bool
) -> None:
    """Print the differences between the gateway's sums and those of an export."""
    from pointsman.cli._provider_exports import ExportError, compared, read_export

    try:
        billed = read_export(file, columns)
    except ExportError as error:
        raise typer.BadParameter(str(error), param_hint="FILE") from None
    rows = compared(billed, _usage(url, provider, billed[0].day, billed[-1].day, token_file))
    if as_json:
        print_json(rows)
        return
    names = ("day", "model", "gateway", "provider", "difference", "tokens in", "tokens out")
    print_table(names, map(_cells, rows), numbers=set(names[2:]))
    known = [row for row in rows if row["difference_nano"] is not None]
    total = sum(row["difference_nano"] for row in known)
    print_line(f"difference of costs: {_signed(total)} in {len(known)} rows with a cost at the provider")


def _usage(url: str, provider: str, first: str, last: str, token_file: Path | None) -> list[dict[str, Any]]:
    """Return the gateway's sums by day and model, of whole days."""
    from pointsman.cli._admin import get, parse_time

    since, until = parse_time(first, "FILE"), parse_time(last, "FILE") + 86_400
    rows: list[dict[str, Any]] = []
    while True:
        wanted = {"group_by": "day,model", "provider": provider, "since": since, "until": until, "offset": len(rows)}
        found = get(url, "usage", wanted, token_file)
        rows += found["rows"]
        if not found["more"]:
            return rows


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    from pointsman.cli._admin import dollars

    gateway, provider = row["gateway_nano"], row["provider_nano"]
    tokens = (
        "-" if (found := row[f"difference_{name}"]) is None else f"{found:+,}" for name in ("tokens_in", "tokens_out")
    )
    shown = ("-" if one is None else dollars(one) for one in (gateway, provider))
    difference = row["difference_nano"]
    return (row["day"], row["model"], *shown, "-" if difference is None else _signed(difference), *tokens)


def _signed(nano: int) -> str:
    from pointsman.cli._admin import dollars

    return f"{'-' if nano < 0 else '+' if nano else ''}{dollars(abs(nano))}"


def _read(file: Path) -> Iterator[dict[str, str]]:
    """Read attempts and amounts from a file, each attempt once."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "the file is not text"
        message = f"cannot read {file}: {reason}; to reconcile one attempt, set its cost with --usd"
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
            raise typer.BadParameter(f"{file}:{number}: the line is not a JSON object", param_hint="FILE")
        yield number, found


def _usd(text: str, place: str) -> str:
    """Return an amount in dollars as the admin API accepts it, without rounding."""
    from decimal import Decimal, InvalidOperation

    try:
        amount = Decimal(text.strip().removeprefix("$"))
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or amount < 0:
        raise typer.BadParameter(f"{text!r} is not an amount in dollars, such as 0.0014", param_hint=place)
    return str(amount)
