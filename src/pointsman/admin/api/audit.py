"""/api/v1/audit: the audit log, and its acceptance after a fault."""

from collections.abc import AsyncIterator
from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Query, Response
from fastapi.responses import StreamingResponse
from msgspec.structs import asdict
from pydantic import Field

from pointsman.admin.permissions import Need, Permission, Within
from pointsman.admin.services import Has, Moment, Name, StrictModel, as_json
from pointsman.control.inquiries.audit import AcceptChain, AuditOutcome
from pointsman.control.store.audit_table import AuditFilter, every_record, newest_records
from pointsman.control.store.database import StoreError
from pointsman.domain.audit import AuditRecord
from pointsman.domain.rights import AccessScope

ACCEPT_S = 30.0
AT_ONCE = 500  # records in one part of an export

router = APIRouter(prefix="/api/v1/audit", tags=["audit"])

Readable = Annotated[AccessScope, Depends(Within(Permission.AUDIT_READ))]
Number = Annotated[int, Field(ge=0, le=1 << 60)]


class AuditQuery(StrictModel):
    """The filters. `kind` and `name` are the object of a call. Times are Unix seconds."""

    actor: Name | None = None
    address: Name | None = None
    action: Name | None = None
    kind: Name | None = None
    name: Name | None = None
    team: Name | None = None
    customer: Name | None = None
    outcome: Name | None = None
    request_id: Name | None = None
    since: Moment | None = None
    until: Moment | None = None

    def chosen(self, scope: AccessScope, *, before: int | None = None, after: int | None = None) -> AuditFilter:
        """Return the filter of a query."""
        fields = self.model_dump(exclude_none=True)
        equal = {name: value for name, value in fields.items() if isinstance(value, str)}
        return AuditFilter(equal=equal, since=self.since, until=self.until, before=before, after=after, scope=scope)


class AuditPage(AuditQuery):
    """A page. `before` is the `next` of the page before."""

    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    before: Number | None = None


class AuditExport(AuditQuery):
    """All records after a number."""

    after: Number = 0


@router.get("")
async def audit(services: Has, scope: Readable, page: Annotated[AuditPage, Query()]) -> Response:
    """Return records, the newest first. `next` is absent on the last page. `changes` are the fields that differ, with
    masked secrets. Callers whose permission is for some owners see the calls about these."""
    chosen = page.chosen(scope, before=page.before)
    found = await newest_records(services.store.rows, chosen, page.limit + 1)
    body: dict[str, object] = {"rows": [_shown(one) for one in found[: page.limit]]}
    if len(found) > page.limit:
        body["next"] = found[page.limit - 1].number
    return as_json(body)


@router.get("/export")
async def export(services: Has, scope: Readable, query: Annotated[AuditExport, Query()]) -> Response:
    """Return records in their order, as JSON lines. An export of all records can be verified by
    `pointsman audit verify --file`."""
    records = every_record(services.store.rows, query.chosen(scope, after=query.after))
    return StreamingResponse(_lines(records), media_type="application/jsonl")


@router.post("/accept", dependencies=[Depends(Need(Permission.AUDIT_WRITE))])
async def accept(services: Has) -> Response:
    """Take the log as it is for the truth, after a fault was examined, or a backup restored. `fault` is the one that
    there was. The log has a record of this."""
    (outcome,) = await services.control.ask(AcceptChain(), AuditOutcome, ACCEPT_S)
    if outcome.problem:
        raise StoreError(outcome.problem)
    return as_json({"fault": outcome.fault})


def _shown(record: AuditRecord) -> dict[str, object]:
    return {**asdict(record), "changes": msgspec.Raw(record.changes.encode())}


async def _lines(records: AsyncIterator[AuditRecord]) -> AsyncIterator[bytes]:
    lines: list[bytes] = []
    async for record in records:
        lines.append(msgspec.json.encode(_shown(record)) + b"\n")
        if len(lines) >= AT_ONCE:
            yield b"".join(lines)
            lines = []
    yield b"".join(lines)
