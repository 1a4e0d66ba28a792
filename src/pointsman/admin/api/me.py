"""/api/v1/me: the caller, its rights, and its own account."""

from typing import Annotated, Any

import pyotp
from fastapi import APIRouter, Depends, Response
from pydantic import Field

from pointsman.admin.access_changes import ask
from pointsman.admin.callers import Caller, CallerOf
from pointsman.admin.logins import csrf_token
from pointsman.admin.passwords import MAX_CHARACTERS, check_password
from pointsman.admin.permissions import Need, Permission
from pointsman.admin.problems import ApiError
from pointsman.admin.services import Has, StrictModel, as_json
from pointsman.control.inquiries.access import ConfirmTotp, DropTotp, EndSessions, SetOwnPassword
from pointsman.domain.permissions import IMPLIED
from pointsman.domain.rights import EVERYTHING
from pointsman.domain.users import LOCAL, ConsoleSession, User

router = APIRouter(prefix="/api/v1/me", tags=["access"], dependencies=[Depends(Need(Permission.SELF))])

Password = Annotated[str, Field(max_length=MAX_CHARACTERS)]


class PasswordChange(StrictModel):
    """The present password and the new one."""

    old: Password
    new: Password


class TotpConfirmation(StrictModel):
    """A secret from `/me/totp`, and a code of it."""

    secret: Annotated[str, Field(min_length=16, max_length=64)]
    code: Annotated[str, Field(max_length=16)]


class PasswordProof(StrictModel):
    """The present password."""

    password: Password


@router.get("")
async def me(caller: CallerOf) -> Response:
    """Return the caller with its permissions. Each has the scopes that it is held for: `*`, or owners such as
    `team:research`. A session has a `csrf` token, to send with changes."""
    shown: dict[str, Any] = {"name": caller.name, "permissions": _permissions(caller)}
    if caller.until is not None:
        shown["expires_at"] = caller.until
    if caller.user is not None and caller.session is not None:
        user, session = caller.user, caller.session
        shown |= {"id": user.id, "label": user.name, "totp": bool(user.totp), "password": user.issuer == LOCAL}
        shown |= {"csrf": csrf_token(caller.secret), "session": _session(session)}
        shown["roles"] = [{"role": one.role, "scope": one.scope} for one in user.grants]
    return as_json(shown)


@router.post("/password")
async def change_password(services: Has, caller: CallerOf, body: PasswordChange) -> Response:
    """Change the caller's password. Its other sessions end."""
    user, session = account(caller)
    if user.issuer != LOCAL:
        raise ApiError(409, "conflict", "you log in at an identity provider; change the password there")
    check_password(body.new)
    if not await services.logins.passwords.is_right(user.password, body.old):
        raise ApiError(403, "forbidden", "old: this is not the present password")
    hashed = await services.logins.passwords.hash(body.new)
    await ask(services, SetOwnPassword(caller.author(), user.id, user.password, hashed, session.digest))
    return as_json({"changed": True})


@router.post("/totp")
async def new_totp(caller: CallerOf) -> Response:
    """Return a new secret for one-time codes, and its address for an authenticator app. It counts once a code of it was
    confirmed."""
    user, _ = account(caller)
    secret = pyotp.random_base32()
    url = pyotp.TOTP(secret).provisioning_uri(name=user.name, issuer_name="Pointsman")
    return as_json({"secret": secret, "url": url})


@router.post("/totp/confirm")
async def confirm_totp(services: Has, caller: CallerOf, body: TotpConfirmation) -> Response:
    """Require one-time codes of a secret at the caller's logins from now on. The code must be a present one of it."""
    user, _ = account(caller)
    await ask(services, ConfirmTotp(caller.author(), user.id, body.secret, body.code))
    return as_json({"totp": True})


@router.post("/totp/remove")
async def remove_totp(services: Has, caller: CallerOf, body: PasswordProof) -> Response:
    """Require no one-time codes any more. The password proves that this is the user."""
    user, _ = account(caller)
    if not await services.logins.passwords.is_right(user.password, body.password):
        raise ApiError(403, "forbidden", "password: this is not your password")
    await ask(services, DropTotp(caller.author(), user.id))
    return as_json({"totp": False})


@router.get("/sessions")
async def sessions(services: Has, caller: CallerOf) -> Response:
    """Return the caller's sessions, the newest first."""
    user, session = account(caller)
    found = await services.access.sessions(user.id)
    return as_json([{**_session(one), "is_this": one.digest == session.digest} for one in found])


@router.delete("/sessions")
async def end_others(services: Has, caller: CallerOf) -> Response:
    """End the caller's other sessions."""
    user, session = account(caller)
    await ask(services, EndSessions(caller.author(), user.id, session.digest))
    return as_json({"ended": True})


def account(caller: Caller) -> tuple[User, ConsoleSession]:
    """Return the user and the session of a caller. Raises 409 for tokens."""
    if caller.user is None or caller.session is None:
        raise ApiError(409, "conflict", "tokens have no account; log in as a user")
    return caller.user, caller.session


def _permissions(caller: Caller) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for permission in Permission:
        scope = caller.rights.scope(permission)
        if scope and permission not in IMPLIED:
            found[permission.value] = [EVERYTHING] if scope.is_everything else sorted(scope.owners)
    return found


def _session(session: ConsoleSession) -> dict[str, Any]:
    return {name: getattr(session, name) for name in ("made_at", "seen_at", "ends_at", "address", "provider")}
