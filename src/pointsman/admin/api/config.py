"""/api/v1/config: versions of the configuration, and all resources as one document."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response
from pydantic import Field

from pointsman.admin.callers import CallerOf
from pointsman.admin.config_diff import net_changes, text_of
from pointsman.admin.edits import DryRun, Note, ask_for
from pointsman.admin.permissions import Need, Permission
from pointsman.admin.problems import ApiError
from pointsman.admin.services import Has, StrictModel, as_json
from pointsman.control.inquiries.resources import (
    ApplyDocument,
    DocumentInquiry,
    ExportedDocument,
    RollBack,
    RotateMasterKey,
    RotationOutcome,
)

EXPORT_S = 30.0
ROTATE_S = 100.0
MOST = 100_000  # versions that a difference spans

router = APIRouter(prefix="/api/v1", tags=["configuration"])
_reads = [Depends(Need(Permission.CONFIG_READ))]
_writes = [Depends(Need(Permission.CONFIG_WRITE))]


class VersionQuery(StrictModel):
    """A page of versions, the newest first."""

    limit: Annotated[int, Field(ge=1, le=1000)] = 50
    before: Annotated[int | None, Field(ge=1, le=1 << 60, description="Only versions before this number.")] = None


class DiffQuery(StrictModel):
    """Two versions."""

    since: Annotated[int, Field(ge=0, le=1 << 60, description="The older version, 0 for none.")]
    until: Annotated[int | None, Field(ge=0, le=1 << 60, description="The newer version; the newest if absent.")] = None


class RollbackRequest(StrictModel):
    """A version to go back to; 0 deletes all resources that were made by API."""

    version: Annotated[int, Field(ge=0, le=1 << 60)]
    note: Note = ""


class ApplyRequest(StrictModel):
    """A document in the form of the configuration file."""

    document: dict[str, Any]
    note: Note = ""


@router.get("/config/versions", dependencies=_reads)
async def versions(services: Has, query: Annotated[VersionQuery, Query()]) -> Response:
    """Return versions of the configuration that API calls made, with their changes, the newest first."""
    return as_json(await services.store.versions(query.limit, query.before))


@router.get("/config/diff", dependencies=_reads)
async def diff(services: Has, query: Annotated[DiffQuery, Query()]) -> Response:
    """Return the changes between two versions, each resource once, and the same as lines of text."""
    before = query.until + 1 if query.until is not None else None
    found = await services.store.versions(MOST, before, query.since)
    newest = await services.store.versions(1)
    last = newest[0].number if newest else 0
    if max(query.since, query.until or 0) > last:
        raise ApiError(404, "not_found", f"there is no such version; the newest one is {last}")
    changes = net_changes(reversed(found))
    return as_json({"since": query.since, "until": query.until or last, "changes": changes, "text": text_of(changes)})


@router.post("/config/rollback", dependencies=_writes)
async def roll_back(services: Has, by: CallerOf, body: RollbackRequest, dry_run: DryRun = False) -> Response:
    """Make the resources be those of an earlier version. This is a version of its own."""
    _, answer = await ask_for(
        services, RollBack(number=body.version, author=by.name, note=body.note, is_dry_run=dry_run)
    )
    return answer


@router.get("/config/export", dependencies=_reads)
async def export(services: Has, only_made: Annotated[bool, Query()] = False) -> Response:
    """Return all resources as a document in the form of the configuration file, or only those made by API, and the
    virtual keys with digests of their values. Secrets are sealed, so only this gateway can use them."""
    (found,) = await services.control.ask(DocumentInquiry(only_made=only_made), ExportedDocument, EXPORT_S)
    return as_json(found)


@router.post("/config/apply", dependencies=_writes)
async def apply(services: Has, by: CallerOf, body: ApplyRequest, dry_run: DryRun = False) -> Response:
    """Make the resources be those in a document: make, change and delete, all or none. Entries that the server's own
    file has must be equal there. Then make and change its virtual keys, which needs the permission `keys:write`."""
    inquiry = ApplyDocument(
        document=body.document,
        author=by.name,
        may_write_keys=by.rights.scope(Permission.KEYS_WRITE).is_everything,
        note=body.note,
        is_dry_run=dry_run,
    )
    _, answer = await ask_for(services, inquiry)
    return answer


@router.post("/master-key/rotate", dependencies=_writes)
async def rotate(services: Has, by: CallerOf) -> Response:
    """Seal all secrets with a new master key. The gateway makes it, unless the environment or a file has it."""
    await services.state()  # fails at once if control is away
    (outcome,) = await services.control.ask(RotateMasterKey(author=by.name), RotationOutcome, ROTATE_S)
    if outcome.problem:
        raise ApiError(409, "not_rotated", outcome.problem)
    return as_json({"sealed": outcome.sealed})
