"""GET /api/v1/statements: the spending of one month by customer, team, key, provider and model."""

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime
from time import time
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Response
from pydantic import Field

from pointsman.admin.csv_lines import csv_lines
from pointsman.admin.permissions import Permission, Within
from pointsman.admin.problems import ApiError
from pointsman.admin.services import Has, Name, Services, StrictModel, as_json, usd
from pointsman.control.store.reports import Rows
from pointsman.control.store.series import USAGE_SERIES
from pointsman.control.store.tables import Row
from pointsman.domain.rights import AccessScope
from pointsman.money.focus import COLUMNS, focus_row

PAGE = 10_000
MOST = 500_000  # rows of one statement

router = APIRouter(prefix="/api/v1", tags=["usage"])

Readable = Annotated[AccessScope, Depends(Within(Permission.USAGE_READ))]
_NAMES = ("customer", "team", "virtual_key", "provider", "model")
_SUMS = ("attempts", "failures", "tokens_in", "tokens_out", "tokens_cached", "tokens_reasoning")
_MONEY = ("estimated_nano", "reserved_nano", "held_nano", "unpriced")
_CSV = ("month", "customer", "team", "key", "provider", "model", *_SUMS, "cost_usd", "cost_nano", *_MONEY)


class StatementQuery(StrictModel):
    """A month, and the owner of the statement."""

    month: Annotated[str, Field(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])$", description="Such as `2026-11`, in UTC.")]
    customer: Name | None = None
    team: Name | None = None
    format: Literal["json", "csv", "focus"] = "json"

    def bounds(self) -> tuple[float, float]:
        """Return the beginning of the month and of the next one. Raises 422 for a month that is out of range."""
        year, month = int(self.month[:4]), int(self.month[5:])
        if not 1970 <= year < 9999:
            raise ApiError(422, "invalid_request", "month: the year must be from 1970 to 9998")
        after = (year + month // 12, month % 12 + 1)
        return datetime(year, month, 1, tzinfo=UTC).timestamp(), datetime(*after, 1, tzinfo=UTC).timestamp()


@router.get("/statements")
async def statement(services: Has, scope: Readable, query: Annotated[StatementQuery, Query()]) -> Response:
    """Return the spending of a month by customer, team, virtual key, provider and model, with a total for each customer
    and team. The sums are those of `/api/v1/usage`; they are never deleted, and reconciliations correct them. `final`
    is true if the month has ended and no amount is estimated or reserved. With `format=focus`, the answer is CSV in
    the columns of FOCUS 1.2, with a row for each day."""
    since, until = query.bounds()
    is_focus = query.format == "focus"
    names = ("day", *_NAMES) if is_focus else _NAMES
    chosen = {name: value for name, value in (("customer", query.customer), ("team", query.team)) if value is not None}
    rows = await _rows(services, names, chosen, (since, until), scope)
    return await asyncio.to_thread(_answer, query, rows, since, until)


async def _rows(
    services: Services, names: tuple[str, ...], chosen: Row, within: tuple[float, float], scope: AccessScope
) -> list[Row]:
    found: list[Row] = []
    while len(found) <= MOST:
        page = await services.store.sums(USAGE_SERIES, names, chosen, Rows(*within, PAGE, len(found)), scope)
        found += page
        if len(page) < PAGE:
            return found
    raise ApiError(422, "too_large", f"the statement has more than {MOST} rows; set customer or team")


def _answer(query: StatementQuery, rows: list[Row], since: float, until: float) -> Response:
    if query.format == "focus":
        return _csv([focus_row(row, since, until) for row in rows], COLUMNS)
    shown = [_row(query.month, row) for row in rows]
    if query.format == "csv":
        return _csv(shown, _CSV)
    is_final = until <= time() and not any(row["estimated_nano"] or row["reserved_nano"] for row in rows)
    return as_json(
        {
            "month": query.month,
            "since": since,
            "until": until,
            "final": is_final,
            "rows": shown,
            "customers": _totals(rows, ("customer",)),
            "teams": _totals(rows, ("customer", "team")),
            "total": next(iter(_totals(rows, ())), _sum([])),
        }
    )


def _csv(rows: list[dict[str, Any]], columns: tuple[str, ...]) -> Response:
    lines = csv_lines([dict(zip(columns, columns, strict=True)), *rows], columns)
    return Response(lines, media_type="text/csv")


def _row(month: str, row: Row) -> dict[str, Any]:
    return {**row, "month": month, "key": row["virtual_key"], "cost_nano": row["nano"], "cost_usd": usd(row["nano"])}


def _totals(rows: Iterable[Row], by: tuple[str, ...]) -> list[dict[str, Any]]:
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in by), []).append(row)
    return [{**dict(zip(by, names, strict=True)), **_sum(found)} for names, found in sorted(groups.items())]


def _sum(rows: list[Row]) -> dict[str, Any]:
    nano = sum(row["nano"] for row in rows)
    return {**{name: sum(row[name] for row in rows) for name in _SUMS}, "cost_nano": nano, "cost_usd": usd(nano)}
