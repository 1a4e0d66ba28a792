"""Lines of CSV that a spreadsheet opens safely."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def csv_lines(rows: Iterable[Mapping[str, Any]], names: Sequence[str]) -> bytes:
    """Return a line for each row, with the columns `names`. `None` is an empty cell."""
    text = io.StringIO()
    writer = csv.DictWriter(text, names, extrasaction="ignore")
    writer.writerows({name: _safe(value) for name, value in row.items()} for row in rows)
    return text.getvalue().encode()


def _safe(value: Any) -> Any:
    """Return a value that a spreadsheet does not evaluate as a formula."""
    is_formula = isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r"))
    return f"'{value}" if is_formula else value
