"""The caller of the admin API: who calls, and with which rights.

There are three kinds: the admin token, which is an owner, service tokens, and sessions of users. Each request looks up
its token or session in the store. So an end of either, and a change of roles, count from the next request on.
"""

from contextlib import suppress
from time import time
from typing import Annotated

from fastapi import Depends, Request
from msgspec import Struct

from pointsman.admin.logins import address_of, check_csrf, digest_of, session_secret
from pointsman.admin.problems import ApiError
from pointsman.admin.rechecks import is_confirmed, is_due
from pointsman.admin.services import Has, Services
from pointsman.control.inquiries.access import Author
from pointsman.control.inquiries.console import LoginSettings
from pointsman.control.inquiries.logins import SessionOutcome, TouchSession
from pointsman.control.store.access_queries import AccessQueries
from pointsman.domain.rights import OF_AN_OWNER, Rights
from pointsman.domain.users import ConsoleSession, User, token_holder
from pointsman.link.inquirer import AwayError

ADMIN_TOKEN = "admin-token"  # noqa: S105 -- the name of its holder
SERVICE_PREFIX = "pm-service"
SESSION_PREFIX = "pm-session"
TOUCH_S = 60.0  # the use of a session is noted so often


class Caller(Struct, frozen=True, kw_only=True):
    """A known caller. `name` is for the audit log: `admin-token`, `token:NAME` or `user:NAME`. `address` is that of the
    client. `until` is the end of a service token in Unix seconds. `user` and `session` are those of a session, with its
    `secret`."""

    name: str
    rights: Rights
    address: str = ""
    until: float | None = None
    user: User | None = None
    session: ConsoleSession | None = None
    secret: str = ""

    def author(self) -> Author:
        """Return the caller as the author of a change."""
        return Author(self.name, self.rights, self.address, self.until, may_change_last_owner=self.name == ADMIN_TOKEN)


async def caller(request: Request, services: Has) -> Caller:
    """Return the caller of a request. Raises 401 if it presents nothing that is valid."""
    found: Caller | None = getattr(request.state, "caller", None)
    if found is None:
        found = request.state.caller = await _find(request, services)
    return found


async def _find(request: Request, services: Services) -> Caller:
    presented = bearer(request)
    if presented is not None and services.token.opens(presented):
        peer = request.client.host if request.client is not None else ""
        return Caller(name=ADMIN_TOKEN, rights=OF_AN_OWNER, address=peer)
    if presented is not None:
        if presented.startswith(f"{SERVICE_PREFIX}-"):
            return await _service(request, services, presented)
        raise unauthorized("admin token", is_absent=False)
    if not request.headers.get("cookie"):
        raise unauthorized("admin token", is_absent=True)
    settings = await services.login_settings()
    secret = session_secret(request, settings)
    if secret is None:
        raise unauthorized("admin token", is_absent=True)
    return await _user(request, services, settings, secret)


async def _service(request: Request, services: Services, presented: str) -> Caller:
    async with services.store.reading() as rows:
        access = AccessQueries(rows)
        token = await access.token_of(digest_of(presented))
        rights = await access.rights(token.grants) if token is not None else Rights()
    if token is None or token.expires_at <= time():
        raise unauthorized("admin token, and no service token that is valid", is_absent=False)
    return Caller(
        name=token_holder(token.name),
        rights=rights,
        address=address_of(request, await services.login_settings()),
        until=token.expires_at,
    )


async def _user(request: Request, services: Services, settings: LoginSettings, secret: str) -> Caller:
    digest, now = digest_of(secret), time()
    session, user, rights = await _session(services, digest)
    if session is None or session.ends_at <= now or session.seen_at + settings.idle_s <= now:
        raise _is_over()
    if user is None or user.is_disabled:
        raise _is_over()
    check_csrf(request, settings, secret)
    if is_due(session, settings):
        if not await is_confirmed(services, settings, session, user):
            raise _is_over()
        session, user, rights = await _session(services, digest)  # the groups may have changed
        if session is None or user is None:
            raise _is_over()
    if now - session.seen_at >= TOUCH_S:
        with suppress(AwayError):
            await services.control.ask(TouchSession(digest), SessionOutcome)
    return Caller(
        name=user.label,
        rights=rights,
        address=address_of(request, settings),
        user=user,
        session=session,
        secret=secret,
    )


async def _session(services: Services, digest: str) -> tuple[ConsoleSession | None, User | None, Rights]:
    """Return a session with its user and the rights of this one, over one connection."""
    async with services.store.reading() as rows:
        access = AccessQueries(rows)
        session = await access.session(digest)
        user = await access.user(session.user_id) if session is not None else None
        return session, user, await access.rights(user.grants) if user is not None else Rights()


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


def _is_over() -> ApiError:
    message = "the session is over; log in again"
    return ApiError(401, "session_over", message, headers={"www-authenticate": "Bearer"})


CallerOf = Annotated[Caller, Depends(caller)]
