"""GET /api/v1/usage: what was used and spent, summed up."""

import asyncio
import csv
import io
from enum import StrEnum
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, BeforeValidator, Field

from pointsman.admin.names import check_names
from pointsman.admin.permissions import Need, Permission
from pointsman.admin.services import Has, TimeSpan, usd
from pointsman.control.store.reports import Rows

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
    DAY = "day"
    TAG = "tag"


_COLUMNS = {By.KEY: "virtual_key"}
Name = Annotated[str, Field(max_length=300)]


class UsageRow(BaseModel):
    """Sums over attempts; by tag, over requests, whose provider, model and variant are those of their last attempt.
    Money in nano-dollars and, as text, in dollars. Of `cost_nano`, providers told all but `estimated_nano`, which is
    estimated, and `reserved_nano`, which is what was reserved where nothing could be estimated. Budgets hold
    `held_nano` beyond it until attempts are reconciled or their windows end. `hour` and `day` are when they begin, in
    Unix seconds; days are UTC's."""

    key: str | None = None
    team: str | None = None
    customer: str | None = None
    provider: str | None = None
    model: str | None = None
    variant: str | None = None
    hour: int | None = None
    day: int | None = None
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
    estimated_nano: int = 0
    reserved_nano: int = 0
    held_nano: int | None = None
    unpriced: int | None = None


class UsageReport(BaseModel):
    """The answer: from `since` up to `until`, in Unix seconds; whole hours. `more` says that there are further rows:
    ask again with `offset`. `total` is of all rows, and of those there is no room for; absent where rows overlap: by
    tag, a request with two tags counts once for each."""

    since: float
    until: float
    rows: list[UsageRow]
    total: UsageRow | None = None
    more: bool = False


def _parted(values: list[str]) -> list[str]:
    return [name.strip() for value in values for name in value.split(",")]


class UsageQuery(TimeSpan):
    """What may be asked for."""

    group_by: Annotated[
        tuple[By, ...],
        BeforeValidator(_parted),
        Field(max_length=9, description="Sum up by these: with commas, or the parameter repeated."),
    ] = ()
    key: Name | None = None
    team: Name | None = None
    customer: Name | None = None
    provider: Name | None = None
    model: Name | None = None
    variant: Name | None = None
    tag: Annotated[str | None, Field(max_length=1000, description="`name=value`.")] = None
    limit: Annotated[int, Field(ge=1, le=10_000)] = 1000
    offset: Annotated[int, Field(ge=0, le=10_000_000)] = 0
    format: Literal["json", "csv"] = "json"

    def filters(self) -> dict[str, str]:
        """What is asked for of the columns of attempts."""
        names = ("team", "customer", "provider", "model", "variant")
        given = {"virtual_key": self.key, **{name: getattr(self, name) for name in names}}
        return {name: value for name, value in given.items() if value is not None}


@router.get("/usage", response_model=UsageReport)
async def usage(services: Has, asked: Annotated[UsageQuery, Query()]) -> Response:
    """What was used and spent, by virtual key, team, customer, provider, model, variant, hour, day or tag."""
    start, end = asked.bounds()
    columns = [_COLUMNS.get(by, by.value) for by in asked.group_by]
    filters = asked.filters()
    span, together = Rows(start, end, asked.limit + 1, asked.offset), Rows(start, end)
    is_by_tag = By.TAG in asked.group_by or asked.tag is not None
    if asked.tag is not None:
        filters["tag"] = asked.tag
    summed = services.store.usage_by_tag if is_by_tag else services.store.usage
    found = await summed(columns, filters, span)
    if not found or found[0]["nano"] is None:
        await check_names(services, filters)
    overlap = is_by_tag and asked.tag is None
    sums = [] if overlap or asked.format == "csv" else await summed([], filters, together)
    # Encoding thousands of rows takes a while, and others ask meanwhile.
    return await asyncio.to_thread(_answer, asked, span, found, sums)


def _answer(asked: UsageQuery, span: Rows, found: list[dict[str, Any]], sums: list[dict[str, Any]]) -> Response:
    rows = [_row(row) for row in found[: asked.limit] if row.get("nano") is not None]
    if asked.format == "csv":
        return Response(_csv(rows), media_type="text/csv")
    total = _row(sums[0]) if sums and sums[0]["nano"] is not None else None
    answer = UsageReport(since=span.since, until=span.until, rows=rows, total=total, more=len(found) > asked.limit)
    return Response(answer.model_dump_json(exclude_none=True), media_type="application/json")


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
    is_formula = isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r"))
    return f"'{value}" if is_formula else value
