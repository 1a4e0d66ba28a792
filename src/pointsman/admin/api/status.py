"""GET /api/v1/status: the state of the processes. POST /api/v1/config/reload: read the configuration again."""

from fastapi import APIRouter, Depends, Response
from msgspec.structs import asdict

from pointsman.admin.canaries import aborted_canaries
from pointsman.admin.permissions import Need, Permission
from pointsman.admin.problems import ApiError
from pointsman.admin.services import Has, as_json
from pointsman.control.inquiries.reload import Reload, ReloadOutcome

RELOAD_S = 100.0  # reading very many keys takes long

router = APIRouter(prefix="/api/v1", tags=["status"])


@router.get("/status", dependencies=[Depends(Need(Permission.STATUS_READ))])
async def status(services: Has) -> Response:
    """Return the state of the processes, the store and the ingestion of journals: a `ControlState`. `aborted_canaries`
    are the canaries that workers have aborted, with the numbers of these workers."""
    state = await services.state()
    # Only workers know them, and a worker that hangs would delay the answer.
    canaries = await aborted_canaries(services) if state.has_canaries else []
    return as_json({**asdict(state), "aborted_canaries": canaries})


@router.post("/config/reload", dependencies=[Depends(Need(Permission.CONFIG_WRITE))])
async def reload(services: Has) -> Response:
    """Read the configuration file again. Answer when every worker has it, or with the reason for its rejection."""
    await services.state()  # fails at once if control is away
    (outcome,) = await services.control.ask(Reload(), ReloadOutcome, RELOAD_S)
    if not outcome.is_taken:
        raise ApiError(409, "not_taken", "; ".join(outcome.messages))
    return as_json({"digest": outcome.digest, "messages": outcome.messages})
