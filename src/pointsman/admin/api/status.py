"""GET /api/v1/status: how the processes are. POST /api/v1/config/reload: read the configuration again."""

from time import time

from fastapi import APIRouter, Depends, HTTPException
from pydantic import BaseModel

from pointsman.admin.permissions import Need, Permission
from pointsman.admin.services import Has

router = APIRouter(prefix="/api/v1", tags=["status"])


class Worker(BaseModel):
    """A worker that has called."""

    slot: int
    epoch: int
    pid: int
    digest: str
    draining: bool


class Status(BaseModel):
    """How the gateway is. `config_refused` says what is wrong with the configuration on disk while an older one is in
    force. `backlog_bytes` is what is in journals and not in the store yet, in whole segments;
    `caught_up_s` is how long ago there was nothing. `damaged_journals` were set aside for somebody to look at; they
    stay until somebody deletes them, and so do the `refused_records` in the store's table `refused`."""

    digest: str
    config_refused: list[str]
    workers: list[Worker]
    store: str
    commits: int
    records: int
    journal_damage: int
    damaged_journals: int
    damaged_journal_bytes: int
    refused_records: int
    backlog_bytes: int
    caught_up_s: float | None


class Reloaded(BaseModel):
    """The configuration in force with every worker, and what was said of it."""

    digest: str
    messages: list[str]


@router.get("/status", dependencies=[Depends(Need(Permission.STATUS_READ))])
async def status(services: Has) -> Status:
    """How the processes, the store and the reading of journals are."""
    state = services.ingest.state
    workers = [
        Worker(
            slot=line.hello.slot,
            epoch=line.hello.epoch,
            pid=line.hello.pid,
            digest=line.digest,
            draining=line.is_draining,
        )
        for line in services.lessor.lines
        if line.hello is not None
    ]
    damaged, damaged_bytes = services.ingest.set_aside()
    return Status(
        digest=services.configuration.digest,
        config_refused=services.configuration.refused or [],
        workers=sorted(workers, key=lambda one: (one.slot, one.epoch)),
        store="ok" if state.problem is None else state.problem,
        commits=state.commits,
        records=state.records,
        journal_damage=state.damage,
        damaged_journals=damaged,
        damaged_journal_bytes=damaged_bytes,
        refused_records=state.refused,
        backlog_bytes=services.ingest.backlog_bytes(),
        caught_up_s=time() - state.caught_up_at if state.caught_up_at else None,
    )


@router.post("/config/reload", dependencies=[Depends(Need(Permission.CONFIG_WRITE))])
async def reload(services: Has) -> Reloaded:
    """Read the configuration file again. Answers when every worker has it, or says why it was not taken."""
    is_taken, messages = await services.configuration.reload()
    if not is_taken:
        raise HTTPException(409, {"code": "not_taken", "message": "; ".join(messages)})
    return Reloaded(digest=services.configuration.digest, messages=messages)
