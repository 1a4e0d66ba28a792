"""GET /api/v1/requests and /{id}: single requests, and the reasons for their routing."""

import asyncio
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Path, Query, Response
from msgspec.structs import asdict
from pydantic import Field

from pointsman.admin.names import check_names
from pointsman.admin.permissions import Need, Permission
from pointsman.admin.problems import ApiError
from pointsman.admin.services import FOREVER, Has, Name, TimeSpan, as_json, usd
from pointsman.control.store.reports import first_id
from pointsman.domain.records import RequestRecord
from pointsman.routing.explain import recorded_data

_LAST_ID = "g"  # sorts after every id
_WHOSE = ("at", "virtual_key", "model", "provider")
_REQUEST = ("request_id", *_WHOSE, "status", "estimated_nano", "reserved_nano")
_UNSETTLED = ("attempt_id", *_WHOSE, "tokens", "source", "held_nano", "state", "until")
_DECODER = msgspec.json.Decoder(RequestRecord)

router = APIRouter(prefix="/api/v1", tags=["requests"], dependencies=[Depends(Need(Permission.REQUESTS_READ))])


class RequestQuery(TimeSpan):
    """The filters of a list of requests. `since` is the beginning of time when absent."""

    limit: Annotated[int, Field(ge=1, le=1000)] = 50
    after: Annotated[str | None, Field(max_length=64, description="Only requests newer than this id.")] = None
    before: Annotated[str | None, Field(max_length=64, description="Only requests older than this id.")] = None
    key: Name | None = None
    provider: Name | None = None
    model: Name | None = None
    status: Annotated[int | None, Field(ge=0, le=999, description="0: the worker died.")] = None
    client_request_id: Annotated[
        str | None, Field(max_length=128, description="The id that the client sent in `x-request-id`.")
    ] = None

    def bounds(self) -> tuple[float, float]:
        return super().bounds() if self.since is not None else (0.0, self.until or FOREVER)


@router.get("/requests")
async def requests(services: Has, query: Annotated[RequestQuery, Query()]) -> Response:
    """Return requests, newest first. For the next page, set `before` to the last id of the answer. Of `cost_nano`,
    providers reported all but `estimated_nano` and `reserved_nano`."""
    values = {"virtual_key": query.key, "provider": query.provider, "model": query.model, "status": query.status}
    values["client_request_id"] = query.client_request_id
    filters = {name: value for name, value in values.items() if value is not None}
    start, end = query.bounds()
    after = max(query.after or "", first_id(start))
    before = min(query.before or _LAST_ID, first_id(end))
    found = await services.store.requests(filters, query.limit, after=after, before=before)
    if not found:
        kinds = {"virtual_key": query.key, "provider": query.provider, "asked": query.model}
        await check_names(services, {kind: name for kind, name in kinds.items() if name is not None})
    return as_json([_row(row) for row in found])


@router.get("/requests/{request_id}", responses={404: {"description": "The request is unknown, or was deleted."}})
async def request(services: Has, request_id: Annotated[str, Path(max_length=64)]) -> Response:
    """Return the record of one request, with its attempts, the verdicts on all other candidates, and its cost. The cost
    comes from the store and includes reconciliations. Each attempt has the `attempt_id` to reconcile it by. `decision`
    is in the form of the answers of `/api/v1/explain`."""
    row = await services.store.request(request_id)
    if row is None:
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
async def unsettled(services: Has, limit: Annotated[int, Query(ge=1, le=10_000)] = 1000) -> Response:
    """Return attempts whose cost is unreported and not reconciled, newest first. `source` says how `cost_nano` is
    known. It is `estimated`, or `reserved` if no estimate was possible, as after the death of a worker. Budgets hold
    `held_nano` beyond it, and limits of tokens `tokens`, until it is reconciled, or `until`. Then the last of their
    windows ends, and `state` changes from `open` to `lapsed`. Attempts that are `kept` have too little data to
    reconcile them."""
    rows = await services.store.unsettled(limit)
    # Encoding thousands of rows takes a while, so a thread does it and other requests continue.
    return await asyncio.to_thread(lambda: as_json([_columns(row, _UNSETTLED) for row in rows]))


def _row(row: dict[str, Any]) -> dict[str, Any]:
    return {**_columns(row, _REQUEST), "client_request_id": row["client_request_id"] or None}


def _columns(row: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """Return these columns, and the cost."""
    return {name: row[name] for name in names} | {"cost_nano": row["nano"], "cost_usd": usd(row["nano"])}
