"""GET /api/v1/requests and /{id}: single requests, and why each went where it went."""

import json
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Path, Query
from pydantic import BaseModel

from pointsman.control.permissions import Need, Permission
from pointsman.control.services import Has, usd

router = APIRouter(prefix="/api/v1", tags=["requests"], dependencies=[Depends(Need(Permission.REQUESTS_READ))])


class RequestRow(BaseModel):
    """One request in short."""

    request_id: str
    at: float
    virtual_key: str
    model: str
    provider: str
    status: int
    cost_nano: int
    cost_usd: str


class Attempt(BaseModel):
    """One attempt at a provider. Durations are microseconds; `start_us` counts from the request's arrival."""

    provider: str | None
    model: str | None
    key: str | None
    outcome: str
    status: int | None = None
    message: str | None = None
    start_us: int = 0
    duration_us: int = 0
    first_byte_us: int | None = None
    retry_after_s: float | None = None
    cost_nano: int = 0
    usage_source: str = "none"
    tokens_in: int = 0
    tokens_out: int = 0


class Request(RequestRow):
    """One request: the decision with its verdicts, the attempts, and what it cost."""

    path: str
    operation: str | None = None
    stream: bool = False
    team: str | None = None
    customer: str | None = None
    code: str | None = None
    message: str | None = None
    strategy: str | None = None
    source: str | None = None
    variant: str | None = None
    verdicts: list[str] = []
    attempts: list[Attempt] = []
    tokens_in: int | None = None
    tokens_out: int | None = None
    tokens_cached: int = 0
    tokens_reasoning: int = 0
    duration_us: int = 0
    gateway_us: int = 0
    session: str | None = None
    tags: dict[str, str] = {}
    client_request_id: str | None = None


class Unsettled(BaseModel):
    """An attempt whose worker died before it was over: charged what was reserved."""

    attempt_id: str
    at: float
    virtual_key: str
    provider: str
    model: str
    cost_nano: int
    cost_usd: str
    tokens: int


@router.get("/requests")
async def requests(  # noqa: PLR0913, PLR0917 -- each is a parameter of the query
    services: Has,
    limit: Annotated[int, Query(ge=1, le=1000)] = 50,
    after: Annotated[str | None, Query(description="Only newer ones than this id.")] = None,
    before: Annotated[str | None, Query(description="Only older ones than this id.")] = None,
    key: str | None = None,
    provider: str | None = None,
    model: str | None = None,
    status: int | None = None,
) -> list[RequestRow]:
    """Requests, the newest first."""
    given = {"virtual_key": key, "provider": provider, "model": model, "status": status}
    filters = {name: value for name, value in given.items() if value is not None}
    return [_row(row) for row in await services.store.requests(filters, limit, after=after, before=before)]


@router.get(
    "/requests/{request_id}", responses={404: {"description": "There is no such request, or it is no longer kept."}}
)
async def request(services: Has, request_id: Annotated[str, Path(max_length=64)]) -> Request:
    """One request with its attempts, the verdicts on everything else, and its cost."""
    row = await services.store.request(request_id)
    if row is None:
        message = f"there is no request {request_id!r} here; the newest may take a moment, and old ones are deleted"
        raise HTTPException(404, {"code": "not_found", "message": message})
    record = json.loads(row["record"])
    known: dict[str, Any] = {name: value for name, value in record.items() if name in Request.model_fields}
    return Request(**{**known, **_row(row).model_dump()})


@router.get("/unsettled")
async def unsettled(services: Has, limit: Annotated[int, Query(ge=1, le=10_000)] = 1000) -> list[Unsettled]:
    """Attempts whose outcome nobody lived to see, the newest first."""
    return [
        Unsettled(cost_nano=row["nano"], cost_usd=usd(row["nano"]), **{n: v for n, v in row.items() if n != "nano"})
        for row in await services.store.unsettled(limit)
    ]


def _row(row: dict[str, Any]) -> RequestRow:
    return RequestRow(
        request_id=row["request_id"],
        at=row["at"],
        virtual_key=row["virtual_key"],
        model=row["model"],
        provider=row["provider"],
        status=row["status"],
        cost_nano=row["nano"],
        cost_usd=usd(row["nano"]),
    )
