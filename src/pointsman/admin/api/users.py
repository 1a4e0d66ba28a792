"""/api/v1/users: the users of the console."""

import secrets
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Path, Query, Response
from pydantic import Field

from pointsman.admin.access_changes import RolesField, ask, grants_of
from pointsman.admin.callers import CallerOf
from pointsman.admin.passwords import MAX_CHARACTERS, check_password
from pointsman.admin.permissions import Need, Permission
from pointsman.admin.problems import ApiError
from pointsman.admin.repeats import RepeatOf, already_made
from pointsman.admin.services import Has, Services, StrictModel, as_json
from pointsman.control.inquiries.access import ChangeUser, CreateUser, DeleteUser, EndSessions
from pointsman.domain.users import User

router = APIRouter(prefix="/api/v1/users", tags=["access"])

Id = Annotated[str, Path(max_length=64, description="The id of the user, `u-…`.")]
Password = Annotated[str, Field(max_length=MAX_CHARACTERS)]
UserName = Annotated[str, Field(max_length=200)]


class UserPage(StrictModel):
    """A page of users, in the order of their ids."""

    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    after: Annotated[str, Field(max_length=64, description="Only users after this id.")] = ""
    name: Annotated[str | None, Field(max_length=200, description="Only users with exactly this name.")] = None


class NewUser(StrictModel):
    """A user who logs in with a password. Without one, the answer has a new password, which is shown only then."""

    name: UserName
    password: Password | None = None
    roles: Annotated[RolesField, Field(default_factory=list)]


class UserChange(StrictModel):
    """The fields to change. `roles` replaces all that people gave. `password` and `totp: false` end all sessions."""

    name: UserName | None = None
    password: Password | None = None
    disabled: bool | None = None
    totp: Annotated[bool | None, Field(description="Only `false`: the user logs in without a code again.")] = None
    roles: RolesField | None = None


@router.get("", dependencies=[Depends(Need(Permission.USERS_READ))])
async def users(services: Has, query: Annotated[UserPage, Query()]) -> Response:
    """Return users with their roles. For the next page, set `after` to the last id of the answer."""
    return as_json([user_row(one) for one in await services.access.users(query.after, query.limit, query.name)])


@router.post("", status_code=201, dependencies=[Depends(Need(Permission.USERS_WRITE))])
async def create(services: Has, caller: CallerOf, repeat: RepeatOf, body: NewUser) -> Response:
    """Make a user. The caller must hold all permissions of its roles. A repeated call answers 409,
    `idempotency_replayed`, if the first one made a password. A password is no part of the comparison of two calls."""
    password = body.password if body.password is not None else secrets.token_urlsafe(18)
    check_password(password)
    hashed = await services.logins.passwords.hash(password)
    made = await ask(services, CreateUser(caller.author(), body.name, hashed, grants_of(body.roles), repeat))
    if made.is_replayed and body.password is None:
        raise already_made(f"the user {made.name} with a password", "set another one")
    shown = user_row(await _user(services, made.name))
    if body.password is None:
        shown["password"] = password
    return as_json(shown, 201)


@router.get("/{id}", dependencies=[Depends(Need(Permission.USERS_READ))])
async def show(services: Has, id_: Annotated[str, Path(alias="id", max_length=64)]) -> Response:
    """Return a user with its roles. The header `etag` has its version."""
    user = await _user(services, id_)
    return as_json(user_row(user), headers={"etag": _etag(user)})


@router.patch("/{id}", dependencies=[Depends(Need(Permission.USERS_WRITE))])
async def update(
    services: Has,
    caller: CallerOf,
    id_: Annotated[str, Path(alias="id", max_length=64)],
    body: UserChange,
    if_match: Annotated[str | None, Header(max_length=64)] = None,
) -> Response:
    """Change a user. The caller must hold all permissions that the user has and gets. With `if-match`, the user must
    still have that version. The last owner who can log in stays one, unless the admin token changes it."""
    if body.totp:
        raise ApiError(422, "invalid_request", "totp: users turn codes on themselves; only `false` is allowed")
    hashed = None
    if body.password is not None:
        check_password(body.password)
        hashed = await services.logins.passwords.hash(body.password)
    inquiry = ChangeUser(
        author=caller.author(),
        id=id_,
        name=body.name,
        password=hashed,
        is_disabled=body.disabled,
        drops_totp=body.totp is False,
        grants=grants_of(body.roles) if body.roles is not None else None,
        changed_at=_version(if_match),
    )
    await ask(services, inquiry)
    user = await _user(services, id_)
    return as_json(user_row(user), headers={"etag": _etag(user)})


@router.delete("/{id}", dependencies=[Depends(Need(Permission.USERS_WRITE))])
async def delete(services: Has, caller: CallerOf, id_: Annotated[str, Path(alias="id", max_length=64)]) -> Response:
    """Delete a user. Its sessions end at once."""
    await ask(services, DeleteUser(caller.author(), id_))
    return as_json({"deleted": id_})


@router.delete("/{id}/sessions", dependencies=[Depends(Need(Permission.USERS_WRITE))])
async def log_out(services: Has, caller: CallerOf, id_: Annotated[str, Path(alias="id", max_length=64)]) -> Response:
    """End all sessions of a user."""
    await ask(services, EndSessions(caller.author(), id_))
    return as_json({"ended": id_})


def user_row(user: User) -> dict[str, Any]:
    """Return a user as the API shows it. `issuer` and `subject` are its identity. Roles of its groups have the source
    `groups`."""
    sources = (("given", user.granted), ("groups", user.mapped))
    return {
        "id": user.id,
        "name": user.name,
        "issuer": user.issuer,
        "subject": user.subject,
        "disabled": user.is_disabled,
        "totp": bool(user.totp),
        "created_at": user.created_at,
        "logged_in_at": user.logged_in_at,
        "roles": [
            {"role": one.role, "scope": one.scope, "source": source} for source, grants in sources for one in grants
        ],
    }


async def _user(services: Services, id_: str) -> User:
    user = await services.access.user(id_)
    if user is None:
        raise ApiError(404, "not_found", f"there is no user {id_!r}")
    return user


def _etag(user: User) -> str:
    return f'"{user.changed_at!r}"'


def _version(etag: str | None) -> float | None:
    if etag is None or etag.strip() == "*":
        return None
    try:
        return float(etag.strip().strip('"'))
    except ValueError:
        return -1.0  # no version of any user
