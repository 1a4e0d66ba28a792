"""GET /api/v1/records: whole records of requests, page by page."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response
from pydantic import Field

from pointsman.admin.permissions import Need, Permission
from pointsman.admin.services import Has, StrictModel

router = APIRouter(prefix="/api/v1", tags=["requests"], dependencies=[Depends(Need(Permission.REQUESTS_READ))])


class RecordQuery(StrictModel):
    """A page of records."""

    limit: Annotated[int, Field(ge=1, le=500)] = 100
    before: Annotated[str | None, Field(max_length=64, description="Only requests older than this id.")] = None


@router.get("/records")
async def records(services: Has, query: Annotated[RecordQuery, Query()]) -> Response:
    """Return whole records as they were logged, newest first. For the next page, set `before` to the `request_id` of
    the last one. Costs do not include reconciliations."""
    found = await services.store.records(query.limit, query.before)
    return Response(b"[" + b",".join(found) + b"]", media_type="application/json")
