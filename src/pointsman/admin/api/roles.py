"""/api/v1/roles: the roles, built-in ones and others."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Response
from pydantic import Field

from pointsman.admin.access_changes import ask
from pointsman.admin.callers import CallerOf
from pointsman.admin.permissions import Need, Permission
from pointsman.admin.repeats import RepeatOf
from pointsman.admin.services import Has, StrictModel, as_json
from pointsman.control.inquiries.access import DeleteRole, SetRole
from pointsman.domain.permissions import IMPLIED, ROLES

router = APIRouter(prefix="/api/v1/roles", tags=["access"])

RoleName = Annotated[str, Path(max_length=64)]


class RoleBody(StrictModel):
    """The permissions of a role, such as `usage:read`."""

    permissions: Annotated[list[Permission], Field(min_length=1, max_length=100)]
    note: Annotated[str, Field(max_length=300)] = ""


@router.get("", dependencies=[Depends(Need(Permission.USERS_READ))])
async def roles(services: Has) -> Response:
    """Return all roles with their permissions, and all permissions."""
    found = [_row(name, permissions, "", is_built_in=True) for name, permissions in ROLES.items()]
    custom = await services.access.custom_roles()
    found += [_row(one.name, one.permissions, one.note, is_built_in=False) for one in custom]
    return as_json({"roles": found, "permissions": sorted(set(Permission) - IMPLIED)})


@router.put("/{name}", dependencies=[Depends(Need(Permission.ROLES_WRITE))])
async def put(services: Has, caller: CallerOf, repeat: RepeatOf, name: RoleName, body: RoleBody) -> Response:
    """Make a role, or replace its permissions. The caller must hold the old and the new ones for everything."""
    permissions = frozenset(body.permissions)
    await ask(services, SetRole(caller.author(), name, permissions, body.note, repeat))
    return as_json(_row(name, permissions - IMPLIED, body.note, is_built_in=False))


@router.delete("/{name}", dependencies=[Depends(Need(Permission.ROLES_WRITE))])
async def delete(services: Has, caller: CallerOf, name: RoleName) -> Response:
    """Delete a role that nobody has. Built-in roles stay."""
    await ask(services, DeleteRole(caller.author(), name))
    return as_json({"deleted": name})


def _row(name: str, permissions: frozenset[Permission], note: str, *, is_built_in: bool) -> dict[str, Any]:
    return {"name": name, "permissions": sorted(permissions), "note": note, "built_in": is_built_in}
