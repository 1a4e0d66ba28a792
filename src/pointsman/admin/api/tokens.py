"""/api/v1/tokens: service tokens, the credentials of programs that use this API."""

from time import time
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Response
from pydantic import Field

from pointsman.admin.access_changes import RolesField, ask, grants_of
from pointsman.admin.callers import SERVICE_PREFIX, CallerOf
from pointsman.admin.logins import digest_of, new_secret
from pointsman.admin.permissions import Need, Permission
from pointsman.admin.repeats import RepeatOf, already_made
from pointsman.admin.services import Has, StrictModel, as_json
from pointsman.control.inquiries.access import CreateServiceToken, DeleteServiceToken
from pointsman.domain.users import ServiceToken

LONGEST_DAYS = 366

router = APIRouter(prefix="/api/v1/tokens", tags=["access"])


class NewToken(StrictModel):
    """A token with these roles. It expires after `days`."""

    name: Annotated[str, Field(max_length=200)]
    roles: Annotated[RolesField, Field(min_length=1)]
    days: Annotated[float, Field(gt=0, le=LONGEST_DAYS, allow_inf_nan=False)] = 90.0


@router.get("", dependencies=[Depends(Need(Permission.USERS_READ))])
async def tokens(services: Has) -> Response:
    """Return all service tokens, also those that have expired, without their secrets."""
    return as_json([_row(one) for one in await services.access.tokens()])


@router.post("", status_code=201, dependencies=[Depends(Need(Permission.USERS_WRITE))])
async def create(services: Has, caller: CallerOf, repeat: RepeatOf, body: NewToken) -> Response:
    """Make a service token. Only this answer has the `token` itself. The caller must hold all permissions of its
    roles. It keeps them if the caller loses them later. A repeated call answers 409, `idempotency_replayed`."""
    secret, expires_at = new_secret(SERVICE_PREFIX), time() + body.days * 86_400
    inquiry = CreateServiceToken(
        caller.author(), body.name, digest_of(secret), grants_of(body.roles), expires_at, repeat=repeat
    )
    outcome = await ask(services, inquiry)
    if outcome.is_replayed:
        raise already_made(f"the service token {outcome.name!r}", "delete the token, and make another one")
    made = await services.access.token(outcome.name)
    return as_json({**(_row(made) if made is not None else {"name": outcome.name}), "token": secret}, 201)


@router.delete("/{name:path}", dependencies=[Depends(Need(Permission.USERS_WRITE))])
async def delete(services: Has, caller: CallerOf, name: Annotated[str, Path(max_length=200)]) -> Response:
    """Revoke a service token. The next request with it is rejected."""
    await ask(services, DeleteServiceToken(caller.author(), name))
    return as_json({"deleted": name})


def _row(token: ServiceToken) -> dict[str, Any]:
    return {
        "name": token.name,
        "author": token.author,
        "created_at": token.created_at,
        "expires_at": token.expires_at,
        "roles": [{"role": one.role, "scope": one.scope} for one in token.grants],
    }
