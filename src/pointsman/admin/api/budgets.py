"""GET /api/v1/budgets: the use of limits."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response
from pydantic import Field

from pointsman.admin.names import check_owner
from pointsman.admin.permissions import Permission, Within
from pointsman.admin.services import Has, StrictModel, as_json
from pointsman.control.inquiries.limits import BudgetInquiry, LimitState
from pointsman.domain.rights import AccessScope

router = APIRouter(prefix="/api/v1", tags=["budgets"])

Readable = Annotated[AccessScope, Depends(Within(Permission.BUDGETS_READ))]


class BudgetQuery(StrictModel):
    """The parameters."""

    owner: Annotated[str | None, Field(max_length=200, description="An owner, for example `team:research`.")] = None
    past: Annotated[bool, Field(description="Also windows that have ended.")] = False
    limit: Annotated[int, Field(ge=1, le=10_000)] = 1000


@router.get("/budgets")
async def budgets(services: Has, scope: Readable, query: Annotated[BudgetQuery, Query()]) -> Response:
    """Return a `LimitState` for every limit in its present window, by owner. If there are more than `limit`, used ones
    come first. An owner that never existed is an error. Callers with a limited permission get the limits of their own
    owners, and no error."""
    found = await services.control.ask(BudgetInquiry(query.owner, query.past, query.limit, scope), LimitState)
    if not found and query.owner is not None and scope.is_everything:
        await check_owner(services, query.owner)
    found.sort(key=lambda one: (one.owner, one.metric, one.period, one.window_start))
    return as_json(found)
