"""GET /api/v1/batches: batches that are not settled yet."""

from typing import Annotated

from fastapi import APIRouter, Depends, Response

from pointsman.admin.permissions import Permission, Within
from pointsman.admin.services import Has, as_json
from pointsman.control.store.batches import open_rows
from pointsman.domain.rights import AccessScope

router = APIRouter(prefix="/api/v1", tags=["budgets"])

Readable = Annotated[AccessScope, Depends(Within(Permission.BUDGETS_READ))]


@router.get("/batches")
async def batches(services: Has, scope: Readable) -> Response:
    """Return the open batches, the oldest first. `held_nano` is the amount in nano-dollars that each of the `limits`
    holds until the batch is settled. The `state` is `sent` until the provider's id is known, and then `made`. `status`
    is the provider's own, as of `checked_at` in Unix seconds. `problem` is the reason why the
    batch could not be settled at the last try, else empty."""
    found = open_rows(await services.store.batches())
    return as_json([one for one in found if scope.covers(one["virtual_key"], one["team"])])
