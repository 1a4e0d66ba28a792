"""GET /api/v1/budgets: how far limits are used up."""

from time import time
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel

from pointsman.control.permissions import Need, Permission
from pointsman.control.services import Has

router = APIRouter(prefix="/api/v1", tags=["budgets"], dependencies=[Depends(Need(Permission.BUDGETS_READ))])


class Budget(BaseModel):
    """One limit in one window. Amounts are nano-dollars, tokens or requests, as `metric` says. `posted` is spent and
    known, `lent` is in the hands of workers: reserved, or spent and not read yet, or idle. `limit` is absent for one
    that is no longer configured. Times are Unix seconds."""

    owner: str
    metric: str
    period: str
    window_start: int
    window_end: int | None
    limit: int | None
    posted: int
    lent: int


@router.get("/budgets")
async def budgets(
    services: Has,
    owner: Annotated[str | None, Query(description="Such as `team:research`.")] = None,
    past: Annotated[bool, Query(description="Also windows that are over.")] = False,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 1000,
) -> list[Budget]:
    """Every limit that was used in its present window."""
    now = time()
    found: list[Budget] = []
    for spent in services.book.status():
        whose, metric, period = spent.counter.rsplit("|", 2)
        end = spent.limit.period.window(spent.window)[1] if spent.limit is not None else None
        if (owner is not None and whose != owner) or (not past and end is not None and end <= now):
            continue
        amount = spent.limit.amount if spent.limit is not None else None
        found.append(
            Budget(
                owner=whose,
                metric=metric,
                period=period,
                window_start=spent.window,
                window_end=end,
                limit=amount,
                posted=spent.posted,
                lent=spent.lent,
            )
        )
        if len(found) >= limit:
            break
    return sorted(found, key=lambda one: (one.owner, one.metric, one.period, one.window_start))
