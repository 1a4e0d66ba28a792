"""GET /api/v1/requests/{id}/bodies: the bodies of a request and of its answer, if they are kept."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Response

from pointsman.admin.permissions import Need, Permission
from pointsman.admin.problems import ApiError
from pointsman.admin.services import Has

router = APIRouter(prefix="/api/v1", tags=["requests"], dependencies=[Depends(Need(Permission.BODIES_READ))])


@router.get("/requests/{request_id}/bodies", responses={404: {"description": "No bodies of the request are kept."}})
async def bodies(services: Has, request_id: Annotated[str, Path(max_length=64)]) -> Response:
    """Return the masked bodies of one request. `cut` lists those of which only the beginning is kept, and `unread`
    those that could not be kept."""
    found = (await services.store.bodies([request_id])).get(request_id)
    if found is None:
        message = f"no bodies of the request {request_id!r} are kept; `bodies` in the configuration chooses requests"
        raise ApiError(404, "not_found", message)
    return Response(found, media_type="application/json")
