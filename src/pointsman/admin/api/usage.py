"""GET /api/v1/usage: sums of usage and spending."""

import asyncio
from enum import StrEnum
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BeforeValidator, Field

from pointsman.admin.csv_lines import csv_lines
from pointsman.admin.names import check_names
from pointsman.admin.permissions import Permission, Within
from pointsman.admin.problems import ApiError
from pointsman.admin.services import Has, Name, TimeSpan, as_json, usd
from pointsman.control.store.reports import Rows
from pointsman.control.store.series import REQUEST_SERIES, TAG_SERIES, USAGE_SERIES, Series
from pointsman.domain.rights import AccessScope

router = APIRouter(prefix="/api/v1", tags=["usage"])

Readable = Annotated[AccessScope, Depends(Within(Permission.USAGE_READ))]


class By(StrEnum):
    """The dimensions to sum up by."""

    KEY = "key"
    TEAM = "team"
    CUSTOMER = "customer"
    PROVIDER = "provider"
    MODEL = "model"
    VARIANT = "variant"
    STATUS = "status"
    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    TAG = "tag"


_COLUMNS = {By.KEY: "virtual_key"}

# The order of the columns of a row.
_SUMS = ("requests", "attempts", "failures", "tokens_in", "tokens_out", "tokens_cached", "tokens_reasoning")
_MONEY = ("cost_nano", "cost_usd", "estimated_nano", "reserved_nano", "held_nano", "unpriced")
_TIMES = ("duration_us", "gateway_us", "streams", "ttft_us")
_ROW = (*By, *_SUMS, *_MONEY, *_TIMES)


def _parted(values: list[str]) -> list[str]:
    return [name.strip() for value in values for name in value.split(",")]


class UsageQuery(TimeSpan):
    """The filters and the grouping of usage."""

    group_by: Annotated[
        tuple[By, ...],
        BeforeValidator(_parted),
        Field(max_length=11, description="The dimensions to sum by, separated by commas or repeated."),
    ] = ()
    key: Name | None = None
    team: Name | None = None
    customer: Name | None = None
    provider: Name | None = None
    model: Name | None = None
    variant: Name | None = None
    status: Annotated[int | None, Field(ge=0, le=999, description="0: the worker died.")] = None
    tag: Annotated[str | None, Field(max_length=1000, description="`name=value`.")] = None
    limit: Annotated[int, Field(ge=1, le=10_000)] = 1000
    offset: Annotated[int, Field(ge=0, le=10_000_000)] = 0
    format: Literal["json", "csv"] = "json"

    def filters(self) -> dict[str, str]:
        """Return the filters by columns of attempts."""
        names = ("team", "customer", "provider", "model", "variant")
        values = {"virtual_key": self.key, **{name: getattr(self, name) for name in names}}
        return {name: value for name, value in values.items() if value is not None}

    def series(self) -> Series:
        """Return the sums to read. Raises 422 if there are none by these names."""
        by_tag = By.TAG in self.group_by or self.tag is not None
        by_status = self.status is not None or not {By.STATUS, By.MINUTE}.isdisjoint(self.group_by)
        if by_tag and by_status:
            message = "there are no sums by tag and status, or by tag and minute; leave out one of them"
            raise ApiError(422, "invalid_request", f"group_by: {message}")
        return REQUEST_SERIES if by_status else TAG_SERIES if by_tag else USAGE_SERIES


@router.get("/usage")
async def usage(services: Has, scope: Readable, query: Annotated[UsageQuery, Query()]) -> Response:
    """Return usage and spending by virtual key, team, customer, provider, model, variant, status, minute, hour, day or
    tag. The span is from `since` up to `until`, in Unix seconds and whole hours.

    Rows are sums over attempts. By tag, status or minute, they are sums over requests, with the provider, model and
    variant of the last attempt. Sums by status and minute begin with the version that introduced them; minutes are
    deleted after `store.keep_minutes_days`.

    Money is in nano-dollars and, as text, in dollars. Of `cost_nano`, providers reported all but `estimated_nano`,
    which is estimated, and `reserved_nano`, which was reserved where no estimate was possible. Budgets hold `held_nano`
    beyond it until attempts are reconciled or their windows end. `minute`, `hour` and `day` are their beginnings, in
    Unix seconds; days are UTC. `more` is true if there are further rows: ask again with `offset`. `total` covers all
    rows, including those beyond `limit`. It is absent by minute, and if rows overlap: by tag, a request with two tags
    counts once for each.
    """
    start, end = query.bounds()
    columns = [_COLUMNS.get(by, by.value) for by in query.group_by]
    filters = query.filters()
    span, together = Rows(start, end, query.limit + 1, query.offset), Rows(start, end)
    is_by_tag = By.TAG in query.group_by or query.tag is not None
    summed = partial(services.store.sums, query.series(), scope=scope)
    names = dict(filters)
    if query.tag is not None:
        filters["tag"] = names["tag"] = query.tag
    if query.status is not None:
        filters["status"] = str(query.status)
    found = await summed(columns, filters, span)
    if not found or found[0]["nano"] is None:
        await check_names(services, names, scope)
    has_total = By.MINUTE not in query.group_by and (query.tag is not None or not is_by_tag)
    sums = [] if not has_total or query.format == "csv" else await summed([], filters, together)
    # Encoding thousands of rows takes a while, so a thread does it and other requests continue.
    return await asyncio.to_thread(_answer, query, span, found, sums)


def _answer(query: UsageQuery, span: Rows, found: list[dict[str, Any]], sums: list[dict[str, Any]]) -> Response:
    rows = [_row(row) for row in found[: query.limit] if row.get("nano") is not None]
    if query.format == "csv":
        columns = list(dict.fromkeys(name for row in rows for name in row))
        lines = csv_lines([dict(zip(columns, columns, strict=True)), *rows], columns)
        return Response(lines, media_type="text/csv")
    answer = {"since": span.since, "until": span.until, "rows": rows, "more": len(found) > query.limit}
    return as_json(answer | {"total": _row(sums[0])} if sums and sums[0]["nano"] is not None else answer)


def _row(row: dict[str, Any]) -> dict[str, Any]:
    known = {**row, "key": row.get("virtual_key"), "cost_nano": row["nano"], "cost_usd": usd(row["nano"])}
    return {name: known[name] for name in _ROW if known.get(name) is not None}
