"""GET /api/v1/budgets: how far limits are used up."""

import asyncio
from time import time
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from pointsman.admin.names import check_owner
from pointsman.admin.permissions import Need, Permission
from pointsman.admin.services import Has
from pointsman.money.leases import Spent

AT_ONCE = 200  # windows looked at before workers are answered again

router = APIRouter(prefix="/api/v1", tags=["budgets"], dependencies=[Depends(Need(Permission.BUDGETS_READ))])


class Asked(BaseModel):
    """What may be asked for."""

    model_config = ConfigDict(extra="forbid")

    owner: Annotated[str | None, Field(max_length=200, description="Such as `team:research`.")] = None
    past: Annotated[bool, Field(description="Also windows that are over.")] = False
    limit: Annotated[int, Field(ge=1, le=10_000)] = 1000


class Budget(BaseModel):
    """One limit in one window. Amounts are nano-dollars, tokens or requests, as `metric` says. `posted` is spent and
    known, `lent` is in the hands of workers: reserved, or spent and not read yet, or idle. `limit` is absent for one
    that is no longer configured; a `soft` one refuses nothing. Times are Unix seconds."""

    owner: str
    metric: str
    period: str
    window_start: int
    window_end: int | None
    limit: int | None
    soft: bool
    posted: int
    lent: int


_BUDGETS = TypeAdapter(list[Budget])


@router.get("/budgets", response_model=list[Budget])
async def budgets(services: Has, asked: Annotated[Asked, Query()]) -> Response:
    """Every limit in its present window, up to `limit` of them, by owner: those that were used come first where there
    are more. An owner that never existed is an error."""
    now = time()
    found: list[Budget] = []
    current: set[tuple[str, int]] = set()
    for number, name in enumerate(services.book.names(asked.owner)):
        if number % AT_ONCE == AT_ONCE - 1:
            await asyncio.sleep(0)
        budget = _budget(services.book.spent_in(name))
        if asked.past or budget.window_end is None or budget.window_end > now:
            found.append(budget)
            current.add(name)
            if len(found) >= asked.limit:
                break
    limits = services.book.limits.items() if len(found) < asked.limit else ()
    for number, (counter, limit) in enumerate(limits):  # those that nobody has used yet
        if number % AT_ONCE == AT_ONCE - 1:
            await asyncio.sleep(0)
        name = counter, limit.period.window(now)[0]
        if name not in current and (asked.owner is None or limit.owner == asked.owner):
            found.append(_budget(Spent(*name, 0, 0, limit)))
            if len(found) >= asked.limit:
                break
    if not found and asked.owner is not None:
        await check_owner(services, asked.owner)
    found.sort(key=lambda one: (one.owner, one.metric, one.period, one.window_start))
    return Response(_BUDGETS.dump_json(found), media_type="application/json")


def _budget(spent: Spent) -> Budget:
    """Made without validation: of thousands, that would keep the loop, and with it every worker that asks for a lease,
    for longer than those wait."""
    owner, metric, period = spent.counter.rsplit("|", 2)
    limit = spent.limit
    return Budget.model_construct(
        owner=owner,
        metric=metric,
        period=period,
        window_start=spent.window,
        window_end=limit.period.window(spent.window)[1] if limit is not None else None,
        limit=limit.amount if limit is not None else None,
        soft=limit is not None and limit.soft,
        posted=spent.posted,
        lent=spent.lent,
    )
