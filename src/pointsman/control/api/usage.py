"""GET /api/v1/usage: what was used and spent, summed up."""

import csv
import io
from enum import StrEnum
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel

from pointsman.control.permissions import Need, Permission
from pointsman.control.services import Has, period, usd

router = APIRouter(prefix="/api/v1", tags=["usage"], dependencies=[Depends(Need(Permission.USAGE_READ))])


class By(StrEnum):
    """What to sum up by."""

    KEY = "key"
    TEAM = "team"
    CUSTOMER = "customer"
    PROVIDER = "provider"
    MODEL = "model"
    VARIANT = "variant"
    HOUR = "hour"
    TAG = "tag"


_COLUMNS = {By.KEY: "virtual_key"}


class UsageRow(BaseModel):
    """Sums over attempts; by tag, over requests. Money in nano-dollars and, as text, in dollars."""

    key: str | None = None
    team: str | None = None
    customer: str | None = None
    provider: str | None = None
    model: str | None = None
    variant: str | None = None
    hour: int | None = None
    tag: str | None = None
    requests: int | None = None
    attempts: int | None = None
    failures: int | None = None
    tokens_in: int = 0
    tokens_out: int = 0
    tokens_cached: int | None = None
    tokens_reasoning: int | None = None
    cost_nano: int = 0
    cost_usd: str = "0"
    unsettled_nano: int | None = None
    unpriced: int | None = None


class Usage(BaseModel):
    """The answer: from `since` up to `until`, in Unix seconds; whole hours."""

    since: float
    until: float
    rows: list[UsageRow]


@router.get("/usage", response_model_exclude_none=True)
async def usage(  # noqa: PLR0913, PLR0917 -- each is a parameter of the query
    services: Has,
    group_by: Annotated[list[By], Query(description="Sum up by these; by tag alone only.")] = [],  # noqa: B006
    since: Annotated[float | None, Query(description="Unix seconds; 30 days ago when absent.")] = None,
    until: Annotated[float | None, Query(description="Unix seconds; now when absent.")] = None,
    key: str | None = None,
    team: str | None = None,
    customer: str | None = None,
    provider: str | None = None,
    model: str | None = None,
    variant: str | None = None,
    format: Annotated[str, Query(pattern="^(json|csv)$")] = "json",  # noqa: A002
) -> Any:
    """What was used and spent, by virtual key, team, customer, provider, model, variant, hour or tag."""
    start, end = period(since, until)
    if group_by == [By.TAG]:
        found = await services.store.usage_by_tag(start, end)
    else:
        columns = [_COLUMNS.get(by, by.value) for by in group_by if by is not By.TAG]
        given = {"virtual_key": key, "team": team, "customer": customer, "provider": provider, "model": model}
        filters = {name: value for name, value in {**given, "variant": variant}.items() if value is not None}
        found = await services.store.usage(columns, filters, start, end)
    rows = [_row(row) for row in found if row.get("nano") is not None]
    if format == "csv":
        return Response(_csv(rows), media_type="text/csv")
    return Usage(since=start, until=end, rows=rows)


def _row(row: dict[str, Any]) -> UsageRow:
    nano = row.pop("nano")
    key = row.pop("virtual_key", None)
    return UsageRow(key=key, cost_nano=nano, cost_usd=usd(nano), **row)


def _csv(rows: list[UsageRow]) -> str:
    text = io.StringIO()
    data = [row.model_dump(exclude_none=True) for row in rows]
    names = list(dict.fromkeys(name for row in data for name in row))
    writer = csv.DictWriter(text, names)
    writer.writeheader()
    writer.writerows({name: _safe(value) for name, value in row.items()} for row in data)
    return text.getvalue()


def _safe(value: Any) -> Any:
    """What a spreadsheet does not take for a formula."""
    return f"'{value}" if isinstance(value, str) and value[:1] in "=+-@\t\r" and value[:1] else value
