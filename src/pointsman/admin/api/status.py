"""GET /api/v1/status: how the processes are. POST /api/v1/config/reload: read the configuration again."""

from fastapi import APIRouter, Depends, HTTPException, Response

from pointsman.admin.permissions import Need, Permission
from pointsman.admin.services import Has, as_json
from pointsman.control.inquiries import Reload, ReloadOutcome

RELOAD_S = 100.0  # reading very many keys takes long

router = APIRouter(prefix="/api/v1", tags=["status"])


@router.get("/status", dependencies=[Depends(Need(Permission.STATUS_READ))])
async def status(services: Has) -> Response:
    """The state of the processes, the store and the ingestion of journals: a `ControlState`."""
    return as_json(await services.state())


@router.post("/config/reload", dependencies=[Depends(Need(Permission.CONFIG_WRITE))])
async def reload(services: Has) -> Response:
    """Read the configuration file again. Answer when every worker has it, or with the reason why it was rejected."""
    await services.state()  # whether control is there shows at once
    (outcome,) = await services.control.ask(Reload(), ReloadOutcome, RELOAD_S)
    if not outcome.is_taken:
        raise HTTPException(409, {"code": "not_taken", "message": "; ".join(outcome.messages)})
    return as_json({"digest": outcome.digest, "messages": outcome.messages})
