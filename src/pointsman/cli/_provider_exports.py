"""Reads exports of a provider's usage or costs: answers of OpenAI's and Anthropic's APIs, and any CSV.

Sources: https://platform.openai.com/docs/api-reference/usage (buckets with `start_time`, and results with
`amount.value` in dollars or with tokens) and https://platform.claude.com/docs/en/api/admin-api/usage-cost (buckets with
`starting_at`, and results with `amount` in cents or with tokens).
"""

import csv
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

NANO = 1_000_000_000
COLUMNS = ("day", "model", "usd", "tokens_in", "tokens_out")
_VERSION = re.compile(r"-(\d{4}-\d{2}-\d{2}|\d{8})$")
_KNOWN = {
    "day": ("day", "date", "usage_date_utc", "start_time_iso"),
    "model": ("model", "model_version", "line_item"),
    "usd": ("usd", "cost_usd", "amount_value", "cost", "amount"),
    "tokens_in": ("tokens_in", "input_tokens"),
    "tokens_out": ("tokens_out", "output_tokens"),
}


class ExportError(ValueError):
    """A file that cannot be read. The message says why."""


@dataclass(frozen=True)
class Billed:
    """The use of a model on a day (UTC, as `2026-11-01`), as the provider counts it. `None` is unknown."""

    day: str
    model: str
    nano: int | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None

    def __add__(self, other: "Billed") -> "Billed":
        return replace(
            self,
            nano=_sum(self.nano, other.nano),
            tokens_in=_sum(self.tokens_in, other.tokens_in),
            tokens_out=_sum(self.tokens_out, other.tokens_out),
        )


def read_export(path: Path, columns: Mapping[str, str]) -> list[Billed]:
    """Read a file, and sum it up by day and model. `columns` are names in a CSV file, by those of `COLUMNS`. Raises
    `ExportError`."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ExportError(f"cannot read {path}: {getattr(error, 'strerror', None) or 'it is not text'}") from None
    found: dict[tuple[str, str], Billed] = {}
    for one in _from_json(text, path) if text.lstrip()[:1] in ("{", "[") else _from_csv(text, path, columns):
        known = found.get((one.day, one.model))
        found[one.day, one.model] = known + one if known is not None else one
    if not found:
        raise ExportError(f"{path} contains no usage")
    return sorted(found.values(), key=lambda one: (one.day, one.model))


def named_like(billed: list[Billed], known: set[str]) -> list[Billed]:
    """Return the use under the gateway's names: a version of a model that the gateway does not know is that model."""
    found: dict[tuple[str, str], Billed] = {}
    for one in billed:
        plain = _VERSION.sub("", one.model)
        named = replace(one, model=plain) if one.model not in known and plain in known else one
        key = named.day, named.model
        found[key] = found[key] + named if key in found else named
    return list(found.values())


def compared(billed: list[Billed], usage: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a row for each day and model that either side has. Differences are those of the provider's amounts from
    the gateway's, and `None` where the provider's are unknown."""
    own = {(_day(row["day"]), row["model"]): row for row in usage}
    theirs = {(one.day, one.model): one for one in named_like(billed, {model for _, model in own})}
    rows: list[dict[str, Any]] = []
    for day, model in sorted({*own, *theirs}):
        row, one = own.get((day, model), {}), theirs.get((day, model))
        found: dict[str, Any] = {"day": day, "model": model}
        for name, column in (("nano", "cost_nano"), ("tokens_in", "tokens_in"), ("tokens_out", "tokens_out")):
            known, at_provider = int(row.get(column, 0)), getattr(one, name) if one is not None else None
            found |= {f"gateway_{name}": known, f"provider_{name}": at_provider}
            found[f"difference_{name}"] = at_provider - known if at_provider is not None else None
        rows.append(found)
    return rows


def _from_json(text: str, path: Path) -> Iterator[Billed]:
    """Yield from one answer of an API, a list of answers, or one a line."""
    try:
        document = json.loads(text, parse_float=Decimal)
        answers = document if isinstance(document, list) else [document]
    except ValueError:
        try:
            answers = [json.loads(line, parse_float=Decimal) for line in text.splitlines() if line.strip()]
        except ValueError as error:
            raise ExportError(f"{path} is not JSON: {error}") from None
    try:
        for answer in answers:
            for bucket in answer.get("data", [answer]):
                day = _day(bucket["start_time"] if "start_time" in bucket else bucket["starting_at"])
                is_cents = "starting_at" in bucket
                for result in bucket["results"]:
                    yield _billed(day, result, is_cents=is_cents)
    except (KeyError, TypeError, AttributeError) as error:
        message = "it has no buckets with results, as the APIs of OpenAI and Anthropic answer"
        raise ExportError(f"{path}: {message} ({type(error).__name__}: {error})") from None


def _billed(day: str, result: Mapping[str, Any], *, is_cents: bool) -> Billed:
    amount = result.get("amount")
    model = str(result.get("model") or result.get("line_item") or result.get("description") or "")
    model = model.partition(", ")[0]  # a line item of OpenAI also has the kind of tokens
    if amount is not None:
        value = Decimal(str(amount["value"] if isinstance(amount, Mapping) else amount))
        return Billed(day, model, int((value * NANO / (100 if is_cents else 1)).to_integral_value()))
    if "uncached_input_tokens" not in result:
        return Billed(day, model, None, int(result["input_tokens"]), int(result["output_tokens"]))
    written = result.get("cache_creation") or {}
    tokens = result["uncached_input_tokens"] + result.get("cache_read_input_tokens", 0) + sum(written.values())
    return Billed(day, model, None, int(tokens), int(result["output_tokens"]))


def _from_csv(text: str, path: Path, columns: Mapping[str, str]) -> Iterator[Billed]:
    reader = csv.DictReader(text.splitlines(), skipinitialspace=True)
    names = {name.strip().lower(): name for name in reader.fieldnames or ()}
    chosen: dict[str, str] = {}
    for column in COLUMNS:
        candidates = (columns[column].lower(),) if column in columns else _KNOWN[column]
        if (present := next((one for one in candidates if one in names), None)) is not None:
            chosen[column] = names[present]
        if column in columns and column not in chosen:
            raise ExportError(f"{path} has no column {columns[column]!r}; it has {', '.join(names)}")
    if not {"day", "model"} <= set(chosen) or len(chosen) < 3:
        raise ExportError(
            f"{path} needs columns for day, model, and usd or tokens; name them, such as --column day=Date"
        )
    for row in reader:
        try:
            values = {column: (row[name] or "").strip() for column, name in chosen.items()}
            yield Billed(
                _day(values["day"]),
                values["model"].partition(", ")[0],
                _nano(values.get("usd", "")),
                _count(values.get("tokens_in", "")),
                _count(values.get("tokens_out", "")),
            )
        except (ValueError, InvalidOperation) as error:
            raise ExportError(f"{path}:{reader.line_num}: {error}") from None


def _nano(text: str) -> int | None:
    return int((Decimal(text.lstrip("$").replace(",", "")) * NANO).to_integral_value()) if text else None


def _count(text: str) -> int | None:
    return int(Decimal(text.replace(",", ""))) if text else None


def _day(value: object) -> str:
    """Return the day of Unix seconds or of an ISO 8601 time. Raises `ValueError`."""
    text = str(value)
    if text.replace(".", "", 1).isdigit():
        return datetime.fromtimestamp(float(text), UTC).strftime("%Y-%m-%d")
    at = datetime.fromisoformat(text)
    return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).astimezone(UTC).strftime("%Y-%m-%d")


def _sum(first: int | None, second: int | None) -> int | None:
    return first if second is None else second if first is None else first + second
