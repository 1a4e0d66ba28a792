"""POST /api/v1/reconcile: set the cost of attempts whose provider did not report it."""

from collections import Counter
from decimal import Decimal
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from pydantic import Field

from pointsman.admin.permissions import Need, Permission
from pointsman.admin.problems import ApiError
from pointsman.admin.services import Has, StrictModel
from pointsman.control.inquiries.reconcile import Reconcile, ReconcileOutcome
from pointsman.control.store.database import StoreError
from pointsman.domain.dollars import NANO

MAX_USD = 1_000_000
RECONCILE_S = 100.0  # long enough for the batch of records that is being stored

router = APIRouter(prefix="/api/v1", tags=["usage"], dependencies=[Depends(Need(Permission.USAGE_WRITE))])


class Amount(StrictModel):
    """The cost of one attempt, in dollars, rounded to a nano-dollar."""

    attempt_id: Annotated[str, Field(min_length=1, max_length=80)]
    usd: Annotated[Decimal, Field(ge=0, le=MAX_USD, allow_inf_nan=False)]


class ReconcileRequest(StrictModel):
    """Any number of attempts, each once."""

    attempts: Annotated[list[Amount], Field(min_length=1, max_length=1000)]


@router.post("/reconcile")
async def reconcile(services: Has, request: Request, body: ReconcileRequest) -> dict[str, object]:
    """Charge attempts whose cost no provider reported. Budgets no longer hold more of them, and reports are corrected.

    Answers 409 if some were not `taken`, with a message for each of those `refused`. The others are charged.
    """
    duplicates = [name for name, count in Counter(one.attempt_id for one in body.attempts).items() if count > 1]
    if duplicates:
        message = f"attempts: duplicate attempt_id {duplicates[0]!r}"
        raise ApiError(422, "invalid_request", message)
    amounts = {one.attempt_id: int((one.usd * NANO).to_integral_value()) for one in body.attempts}
    await services.state()  # fails at once if control is away
    (outcome,) = await services.control.ask(Reconcile(amounts), ReconcileOutcome, RECONCILE_S)
    if outcome.problem is not None:
        raise StoreError(outcome.problem)
    request.state.is_recorded = True
    rejected = outcome.refused
    answer = {
        "taken": [name for name in amounts if name not in rejected],
        "refused": [{"attempt_id": name, "message": reason} for name, reason in rejected.items()],
    }
    if rejected:
        name, reason = next(iter(rejected.items()))
        more = f", and {len(rejected) - 1} more were rejected" if len(rejected) > 1 else ""
        raise ApiError(409, "not_reconciled", f"{name}: {reason}{more}", more=answer)
    return answer
