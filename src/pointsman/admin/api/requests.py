"""GET /api/v1/requests, /follow, /export and /{id}: single requests, and the reasons for their routing."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Depends, Path, Query, Response
from fastapi.responses import StreamingResponse
from msgspec import Struct
from msgspec.structs import asdict, replace
from pydantic import Field

from pointsman.admin.csv_lines import csv_lines
from pointsman.admin.names import check_names
from pointsman.admin.permissions import Permission, Within
from pointsman.admin.problems import ApiError
from pointsman.admin.request_query import RequestQuery
from pointsman.admin.services import Has, Services, as_json, usd
from pointsman.control.store.log_queries import RequestPage
from pointsman.domain.records import RequestRecord
from pointsman.domain.rights import AccessScope
from pointsman.routing.explain import recorded_data

NEXT = "x-pointsman-next"
EXPORTED_AT_ONCE = 500
_WHOSE = ("at", "virtual_key", "model", "provider")
_REQUEST = ("request_id", *_WHOSE, "status", "estimated_nano", "reserved_nano", "duration_us", "ingested")
_OPTIONAL = ("client_request_id", "team", "customer", "session", "code")
_OF_RECORD = (
    "method", "path", "operation", "stream", "upstream_model", "variant", "tokens_in", "tokens_out", "tokens_cached",
    "tokens_reasoning", "gateway_us", "ttft_us", "message", "agent", "parent_agent", "rule", "strategy", "dialect",
)  # fmt: skip
# The columns of an export in CSV.
_EXPORTED = (
    "request_id", "time", "virtual_key", "team", "customer", "model", "provider", "upstream_model", "variant", "status",
    "code", "message", "cost_nano", "cost_usd", "estimated_nano", "reserved_nano", "tokens_in", "tokens_out",
    "tokens_cached", "tokens_reasoning", "duration_us", "gateway_us", "ttft_us", "method", "path", "operation",
    "stream", "dialect", "strategy", "rule", "session", "agent", "parent_agent", "client_request_id", "tags",
)  # fmt: skip
_UNSETTLED = ("attempt_id", *_WHOSE, "tokens", "source", "held_nano", "state", "until")
_DECODER = msgspec.json.Decoder(RequestRecord)

router = APIRouter(prefix="/api/v1", tags=["requests"])

Readable = Annotated[AccessScope, Depends(Within(Permission.REQUESTS_READ))]


class ExportQuery(RequestQuery):
    """The requests to export."""

    limit: Annotated[int, Field(ge=1, le=1_000_000)] = 100_000
    format: Literal["jsonl", "csv"] = "jsonl"


class FollowQuery(RequestQuery):
    """The requests to follow."""

    stored_after: Annotated[int | None, Field(ge=0, le=2**63 - 1, description="The `position` of the last answer.")] = (
        None
    )


class Followed(Struct):
    """Requests in the order of their ingestion, and the position after them."""

    position: int
    rows: list[dict[str, Any]]


@router.get("/requests")
async def requests(services: Has, scope: Readable, query: Annotated[RequestQuery, Query()]) -> Response:
    """Return requests, newest first. Of `cost_nano`, providers reported all but `estimated_nano` and `reserved_nano`.

    If there may be more requests, the header `x-pointsman-next` has an id: set `before` to it for the next page. A page
    may hold fewer requests than `limit`, or none, although there are more. That is so if few of many requests meet the
    filters."""
    page = await services.store.log.page(query.chosen(scope), query.limit)
    if not page.rows and page.next is None:
        await check_names(services, query.names(), scope)
    answer = as_json([_row(row) for row in page.rows])
    if page.next is not None:
        answer.headers[NEXT] = page.next
    return answer


@router.get("/requests/follow")
async def follow(services: Has, scope: Readable, query: Annotated[FollowQuery, Query()]) -> Response:
    """Return the requests that were stored after a position, in the order of their ingestion, and the position to go on
    with. Without `stored_after`, there are no rows, and the position is that of the newest request. If the position
    moved, ask again at once; otherwise no newer request is stored yet."""
    if query.stored_after is None:
        return as_json(Followed(await services.store.newest(), []))
    rows, position = await services.store.log.stored_after(query.stored_after, query.chosen(scope), query.limit)
    return as_json(Followed(position, [_row(row) for row in rows]))


@router.get("/requests/export")
async def export(services: Has, scope: Readable, query: Annotated[ExportQuery, Query()]) -> Response:
    """Return requests, newest first, as JSON lines or CSV. A line of JSON is the record as it was logged, with
    reconciled costs. An answer that breaks off is not complete: go on with `before` and the last id. So is one with as
    many requests as `limit`."""
    first = await services.store.log.page(query.chosen(scope), min(query.limit, EXPORTED_AT_ONCE), with_records=True)
    if not first.rows and first.next is None:
        await check_names(services, query.names(), scope)
    is_csv = query.format == "csv"
    parts = _exported(services, query, scope, first)
    return StreamingResponse(parts, media_type="text/csv" if is_csv else "application/jsonl")


async def _exported(
    services: Services, query: ExportQuery, scope: AccessScope, page: RequestPage
) -> AsyncIterator[bytes]:
    """Read page by page, so that the memory is bounded."""
    left, chosen = query.limit, query.chosen(scope)
    if query.format == "csv":
        yield csv_lines([dict(zip(_EXPORTED, _EXPORTED, strict=True))], _EXPORTED)
    while True:
        left -= len(page.rows)
        if page.rows:
            yield await asyncio.to_thread(_encoded, page.rows, is_csv=query.format == "csv")
        if page.next is None or left <= 0:
            return
        chosen = replace(chosen, before=page.next)
        page = await services.store.log.page(chosen, min(left, EXPORTED_AT_ONCE), with_records=True)


def _encoded(rows: list[dict[str, Any]], *, is_csv: bool) -> bytes:
    if is_csv:
        return csv_lines([_exported_row(row) for row in rows], _EXPORTED)
    return b"".join(bytes(row["record"]) + b"\n" for row in rows)


def _exported_row(row: dict[str, Any]) -> dict[str, Any]:
    record = _DECODER.decode(row["record"])
    tags = " ".join(f"{name}={value}" for name, value in record.tags.items())
    named = {name: getattr(record, name) for name in _OF_RECORD}
    return {**named, **_row(row), "time": datetime.fromtimestamp(row["at"], UTC).isoformat(), "tags": tags}


@router.get("/requests/{request_id}", responses={404: {"description": "The request is unknown, or was deleted."}})
async def request(services: Has, scope: Readable, request_id: Annotated[str, Path(max_length=64)]) -> Response:
    """Return the record of one request, with its attempts, the verdicts on all other candidates, and its cost. The cost
    comes from the store and includes reconciliations. Each attempt has the `attempt_id` to reconcile it by. `decision`
    is in the form of the answers of `/api/v1/explain`."""
    row = await services.store.request(request_id)
    if row is None or not scope.covers(row["virtual_key"], row["team"], row["customer"]):
        message = f"there is no request {request_id!r}; new ones appear after a moment, and old ones are deleted"
        raise ApiError(404, "not_found", message)
    record = _DECODER.decode(row["record"])
    attempts = {f"{request_id}-{ordinal}": attempt for ordinal, attempt in enumerate(record.attempts, 1)}
    if any(attempt.held_nano for attempt in record.attempts):  # it may have lapsed since
        held = await services.store.unsettled_of(list(attempts))
        for attempt_id, attempt in attempts.items():
            attempt.held_nano = held[attempt_id]["held_nano"] if attempt_id in held else attempt.held_nano
    shown = [{"attempt_id": attempt_id, **asdict(attempt)} for attempt_id, attempt in attempts.items()]
    return as_json({**asdict(record), "attempts": shown, **_row(row), "decision": recorded_data(record)})


@router.get("/unsettled")
async def unsettled(services: Has, scope: Readable, limit: Annotated[int, Query(ge=1, le=10_000)] = 1000) -> Response:
    """Return attempts whose cost is unreported and not reconciled, newest first. `source` says how `cost_nano` is
    known. It is `estimated`, or `reserved` if no estimate was possible, as after the death of a worker. Budgets hold
    `held_nano` beyond it, and limits of tokens `tokens`, until it is reconciled, or `until`. Then the last of their
    windows ends, and `state` changes from `open` to `lapsed`. Attempts that are `kept` have too little data to
    reconcile them."""
    rows = await services.store.unsettled(limit, scope)
    # Encoding thousands of rows takes a while, so a thread does it and other requests continue.
    return await asyncio.to_thread(lambda: as_json([_columns(row, _UNSETTLED) for row in rows]))


def _row(row: dict[str, Any]) -> dict[str, Any]:
    return {**_columns(row, _REQUEST), **{name: row[name] or None for name in _OPTIONAL}}


def _columns(row: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """Return these columns, and the cost."""
    return {name: row[name] for name in names} | {"cost_nano": row["nano"], "cost_usd": usd(row["nano"])}
