"""The caller of the admin API: who calls, and with which rights."""

from typing import Annotated

from fastapi import Depends, Request
from msgspec import Struct

from pointsman.admin.problems import ApiError
from pointsman.admin.services import Has, Services
from pointsman.domain.rights import OF_AN_OWNER, Rights

ADMIN_TOKEN = "admin-token"  # noqa: S105 -- the name of its holder


class Caller(Struct, frozen=True, kw_only=True):
    """A known caller. `name` is for the audit log: `admin-token`, `token:NAME` or `user:NAME`. `address` is that of the
    client."""

    name: str
    rights: Rights
    address: str = ""


async def caller(request: Request, services: Has) -> Caller:
    """Return the caller of a request. Raises 401 if it presents nothing that is valid."""
    found: Caller | None = getattr(request.state, "caller", None)
    if found is None:
        found = request.state.caller = _find(request, services)
    return found


def _find(request: Request, services: Services) -> Caller:
    address = request.client.host if request.client is not None else ""
    presented = bearer(request)
    if presented is not None and services.token.opens(presented):
        return Caller(name=ADMIN_TOKEN, rights=OF_AN_OWNER, address=address)
    raise unauthorized("admin token", is_absent=presented is None)


def bearer(request: Request) -> str | None:
    """Return the token in the header `authorization`; empty text if the header has another form."""
    authorization = request.headers.get("authorization")
    if authorization is None:
        return None
    scheme, _, presented = authorization.partition(" ")
    return presented.strip() if scheme.lower() == "bearer" else ""


def unauthorized(name: str, *, is_absent: bool) -> ApiError:
    """Return the error of a caller without the token of this name."""
    message = f"this is not the {name}"
    if is_absent:
        message = f"present the {name} as 'Authorization: Bearer <token>'"
    return ApiError(401, "unauthorized", message, headers={"www-authenticate": "Bearer"})


CallerOf = Annotated[Caller, Depends(caller)]
