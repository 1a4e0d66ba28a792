"""Changes of resources, as the routes of the admin API ask control for them."""

import re
from typing import Annotated, Any

import msgspec
from fastapi import Depends, Header, Query, Response
from msgspec import Struct
from pydantic import Field

from pointsman.admin.callers import CallerOf
from pointsman.admin.problems import ApiError, FieldError
from pointsman.admin.repeats import RepeatOf
from pointsman.admin.services import Services, StrictModel
from pointsman.control.inquiries.resources import EditOutcome
from pointsman.control.store.replies import Repeat

EDIT_S = 60.0  # compiling a large configuration takes long
_STATUS = {
    "invalid_resource": 422,
    "key_reused": 422,
    "not_found": 404,
    "already_exists": 409,
    "managed_by_file": 409,
    "version_mismatch": 412,
    "store_unavailable": 503,
    "not_written": 503,
    "forbidden": 403,
}
_ETAG = re.compile(r'"([0-9]{1,18})"')

Note = Annotated[str, Field(max_length=300, description="The reason for the change, for the history.")]
DryRun = Annotated[bool, Query(description="Check the change, and change nothing.")]
IfMatch = Annotated[str | None, Header(description="The `ETag` that the resource must have.")]
IfNoneMatch = Annotated[str | None, Header(description="`*`: the resource must not exist.")]


class NewResource(StrictModel):
    """A resource to make. `spec` has the form of the configuration file."""

    name: Annotated[str, Field(max_length=300)]
    spec: Any
    note: Note = ""


class ResourceContent(StrictModel):
    """The content of a resource. `spec` has the form of the configuration file."""

    spec: Any
    note: Note = ""


def version_in(etag: str | None) -> int | None:
    """Return the version in an `If-Match`. Raises 412 for an etag that no resource has."""
    if etag is None or etag.strip() == "*":
        return None
    match = _ETAG.fullmatch(etag.strip())
    if match is None:
        raise ApiError(412, "version_mismatch", "if-match: no resource has this ETag; read the resource again")
    return int(match[1])


class EditTerms(Struct, frozen=True):
    """The circumstances of a change, from the parameters of its request."""

    author: str
    is_dry_run: bool
    if_version: int | None
    repeat: Repeat | None


async def _terms(
    by: CallerOf,
    repeat: RepeatOf,
    dry_run: DryRun = False,
    if_match: IfMatch = None,
    if_none_match: IfNoneMatch = None,
) -> EditTerms:
    version = 0 if if_none_match is not None else version_in(if_match)
    return EditTerms(by.name, dry_run, version, repeat)


Terms = Annotated[EditTerms, Depends(_terms)]


async def ask_for(services: Services, inquiry: Struct, status: int = 200) -> tuple[EditOutcome, Response]:
    """Ask control for a change. Return the outcome and the answer: 202 if workers have not taken the change yet."""
    await services.state()  # fails at once if control is away
    try:
        (outcome,) = await services.control.ask(inquiry, EditOutcome, EDIT_S)
    except (OverflowError, UnicodeError, ValueError, RecursionError) as error:
        raise ApiError(422, "invalid_resource", f"the content cannot be stored: {error}") from None
    if outcome.code:
        faults = [FieldError(": ".join(filter(None, (one.resource, one.field))), one.message) for one in outcome.faults]
        raise ApiError(_STATUS[outcome.code], outcome.code, outcome.problem, errors=faults)
    body: dict[str, object] = {
        "version": outcome.number,
        "digest": outcome.digest,
        "changes": outcome.changes,
        "waiting_workers": outcome.waiting,
        "notes": outcome.notes,
    }
    if outcome.states:
        body = {"resource": outcome.states[0], **body}
    status = 202 if outcome.waiting else status
    return outcome, Response(msgspec.json.encode(body), status, media_type="application/json")
