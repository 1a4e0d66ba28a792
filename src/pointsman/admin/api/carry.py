"""POST /api/v1/budgets/carried: the spending before this gateway, in the present windows of budgets."""

from collections import Counter
from decimal import Decimal
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from pydantic import Field

from pointsman.admin.permissions import Need, Permission
from pointsman.admin.problems import ApiError
from pointsman.admin.services import Has, StrictModel
from pointsman.control.inquiries.carry import CarriedAmount, Carry, CarryOutcome
from pointsman.control.store.database import StoreError
from pointsman.domain.dollars import NANO

MAX_USD = 1_000_000_000
CARRY_S = 100.0  # long enough for the batch of records that is being stored

router = APIRouter(prefix="/api/v1", tags=["budgets"], dependencies=[Depends(Need(Permission.USAGE_WRITE))])


class CarriedHours(StrictModel):
    """A window of several hours."""

    hours: Annotated[int, Field(ge=1, le=8784)]


class CarriedSpending(StrictModel):
    """The spending of one owner, such as `team:research`, in the present window of its budget, in dollars."""

    owner: Annotated[str, Field(min_length=3, max_length=200)]
    per: Annotated[str, Field(pattern="^(minute|hour|day|week|month|quarter|year)$")] | CarriedHours
    usd: Annotated[Decimal, Field(ge=0, le=MAX_USD, allow_inf_nan=False)]

    @property
    def period(self) -> str:
        return self.per if isinstance(self.per, str) else f"{self.per.hours}h"


class CarryRequest(StrictModel):
    """Any number of windows, each once."""

    amounts: Annotated[list[CarriedSpending], Field(min_length=1, max_length=1000)]


@router.post("/budgets/carried")
async def carry(services: Has, request: Request, body: CarryRequest) -> dict[str, object]:
    """Count spending before this gateway in the present windows of budgets, such as that of another gateway. A window
    takes such an amount once. The amounts count in limits, and not in reports of usage.

    Answers 409 if some were rejected, with a message for each of those in `refused`. The others count.
    """
    keys = Counter((one.owner, one.period) for one in body.amounts)
    if duplicates := [key for key, count in keys.items() if count > 1]:
        owner, period = duplicates[0]
        raise ApiError(422, "invalid_request", f"amounts: {owner} per {period} is there twice")
    await services.state()  # fails at once if control is away
    amounts = [CarriedAmount(one.owner, one.period, int((one.usd * NANO).to_integral_value())) for one in body.amounts]
    (outcome,) = await services.control.ask(Carry(amounts), CarryOutcome, CARRY_S)
    if outcome.problem is not None:
        raise StoreError(outcome.problem)
    request.state.is_recorded = True
    answer = {
        "carried": len(amounts) - len(outcome.refused),
        "refused": [
            {"owner": amounts[number].owner, "period": amounts[number].period, "message": reason}
            for number, reason in outcome.refused.items()
        ],
    }
    if outcome.refused:
        number, reason = next(iter(outcome.refused.items()))
        more = f", and {len(outcome.refused) - 1} more were rejected" if len(outcome.refused) > 1 else ""
        message = f"{amounts[number].owner} per {amounts[number].period}: {reason}{more}"
        raise ApiError(409, "not_carried", message, more=answer)
    return answer
