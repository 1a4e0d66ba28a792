"""GET /api/v1/health: the states of providers' models and keys. POST and DELETE /api/v1/health/holds: overrule them."""

from time import time
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Response
from pydantic import Field

from pointsman.admin.health_view import health_of
from pointsman.admin.permissions import Need, Permission
from pointsman.admin.problems import ApiError
from pointsman.admin.services import Has, Moment, Name, StrictModel, as_json
from pointsman.control.inquiries.holds import HoldOutcome, PlaceHold, ReleaseHold
from pointsman.control.store.database import StoreError
from pointsman.domain.holds import Hold

LONGEST_S = 366 * 86_400.0

router = APIRouter(prefix="/api/v1/health", tags=["health"])


class HoldRequest(StrictModel):
    """An order: see `domain.holds.Hold`. A name such as `team=research`, `virtual_key=NAME` or `customer=NAME` pauses
    all requests of this owner. `for_s` is its duration in seconds, and `until` its end in Unix seconds."""

    name: Annotated[Name, Field(min_length=1)]
    effect: Literal["out", "in"] = "out"
    reason: Annotated[str, Field(max_length=300)] = ""
    for_s: Annotated[float | None, Field(gt=0, le=LONGEST_S, allow_inf_nan=False)] = None
    until: Moment | None = None


@router.get("", dependencies=[Depends(Need(Permission.STATUS_READ))])
async def health(services: Has) -> Response:
    """Return the holds of operators, and the states of all operations of targets and of all keys that had a fault since
    the workers started, the worst first. Each has the number of workers by state, and the time (Unix seconds) and the
    reason of the last transition at a worker where it is worst. `suspecting_workers` are those that suspect this
    gateway itself, since most providers failed together."""
    state = await services.state()
    found = await health_of(services)
    return as_json({"holds": state.holds, "states": found.rows, "suspecting_workers": found.suspecting})


@router.post("/holds", dependencies=[Depends(Need(Permission.HEALTH_WRITE))])
async def place(services: Has, body: HoldRequest) -> Response:
    """Take a provider, a target (`provider/model`) or a key (`provider:key`) out of use, or force it in. Workers take
    the order at once. It replaces an earlier one about the same name, and lasts until its end or until it is
    released."""
    now = time()
    until = now + body.for_s if body.for_s is not None else body.until
    if body.for_s is not None and body.until is not None:
        raise ApiError(422, "invalid_request", "for_s: set either for_s or until")
    if until is not None and until <= now:
        raise ApiError(422, "invalid_request", "until: must be in the future")
    hold = Hold(body.name, body.effect, body.reason, now, until)
    await services.state()  # fails at once if control is away
    _check(*await services.control.ask(PlaceHold(hold), HoldOutcome))
    return as_json(hold)


@router.delete("/holds", dependencies=[Depends(Need(Permission.HEALTH_WRITE))])
async def release(services: Has, name: Annotated[Name, Query()]) -> Response:
    """End the order about this name."""
    await services.state()  # fails at once if control is away
    _check(*await services.control.ask(ReleaseHold(name), HoldOutcome))
    return as_json({"released": name})


def _check(outcome: HoldOutcome) -> None:
    if outcome.code:
        status = 404 if outcome.code == "not_found" else 409
        raise ApiError(status, outcome.code, outcome.problem or "")
    if outcome.problem is not None:
        raise StoreError(outcome.problem)
