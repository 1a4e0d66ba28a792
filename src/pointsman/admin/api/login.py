"""/api/v1/login and /logout: sessions of users at the console."""

from time import time
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from pydantic import Field

from pointsman.admin.callers import SESSION_PREFIX, CallerOf
from pointsman.admin.logins import (
    address_of,
    check_same_origin,
    clear_session,
    csrf_token,
    digest_of,
    new_secret,
    set_session,
)
from pointsman.admin.passwords import MAX_CHARACTERS
from pointsman.admin.permissions import Need, Permission
from pointsman.admin.problems import ApiError
from pointsman.admin.services import Has, Services, StrictModel, as_json
from pointsman.admin.sign_on.identity import IdentityError
from pointsman.control.inquiries.console import LoginSettings
from pointsman.control.inquiries.logins import CloseSession, LoginAttempt, LoginVerdict, OpenSession, SessionOutcome
from pointsman.control.store.database import StoreError
from pointsman.domain.users import LOCAL

router = APIRouter(prefix="/api/v1", tags=["access"])

_WRONG = "the name or the password is wrong"


class LoginBody(StrictModel):
    """A name and a password, and a one-time code if the user has turned codes on."""

    name: Annotated[str, Field(max_length=200)]
    password: Annotated[str, Field(max_length=MAX_CHARACTERS)]
    code: Annotated[str, Field(max_length=16)] = ""


@router.get("/login", dependencies=[Depends(Need(Permission.PUBLIC))])
async def ways(services: Has) -> Response:
    """Return the ways to log in. `password` is true if there are users with a password. `providers` are the names of
    identity providers: send the browser to `/api/v1/login/NAME`. The admin token opens the console in any case."""
    settings = await services.login_settings()
    providers = [one.name for one in settings.sign_on]
    return as_json({"password": bool(await services.access.local_users()), "providers": providers})


@router.post("/login", dependencies=[Depends(Need(Permission.PUBLIC))])
async def log_in(services: Has, request: Request, body: LoginBody) -> Response:
    """Begin a session, in a cookie. Changes by a session must repeat `csrf` in the header `x-pointsman-csrf`. Too many
    failures lock the account, and the address, for a time. With the code `code_required`, repeat the request with a
    one-time code."""
    settings = await services.login_settings()
    check_same_origin(request, settings)
    address = request.state.address = address_of(request, settings)
    request.state.account = body.name
    (verdict,) = await services.control.ask(LoginAttempt(body.name, address), LoginVerdict)
    if verdict.problem:
        raise StoreError(verdict.problem)
    if verdict.wait_s > 0:
        headers = {"retry-after": str(int(verdict.wait_s) + 1)}
        message = "too many failed logins for this name or from this address; wait, or ask an owner for help"
        raise ApiError(429, "locked", message, headers=headers)
    user = await services.access.user_of(LOCAL, body.name)
    is_right = await services.logins.passwords.is_right(user.password if user is not None else None, body.password)
    if user is None or user.is_disabled or not is_right:
        raise ApiError(401, "unauthorized", _WRONG)
    secret = new_secret(SESSION_PREFIX)
    inquiry = OpenSession(
        user_id=user.id,
        account=body.name,
        password=user.password,
        code=body.code,
        digest=digest_of(secret),
        address=address,
        ends_at=time() + settings.max_s,
    )
    (outcome,) = await services.control.ask(inquiry, SessionOutcome)
    check_session(outcome)
    answer = as_json({"id": user.id, "name": user.name, "csrf": csrf_token(secret)})
    set_session(answer, request, settings, secret)
    return answer


@router.post("/logout", dependencies=[Depends(Need(Permission.SELF))])
async def log_out(services: Has, request: Request, caller: CallerOf) -> Response:
    """End the session of the caller. Its cookie is useless from then on. To end the session at the identity provider
    too, send the browser to the address `next`, if it is set."""
    settings, ended = await services.login_settings(), None
    if caller.session is not None:
        inquiry = CloseSession(caller.session.digest, "logout", caller.address)
        (outcome,) = await services.control.ask(inquiry, SessionOutcome)
        check_session(outcome)
        ended = await _log_out_url(services, settings, caller.session.provider)
    answer = as_json({"ended": caller.session is not None, "next": ended})
    clear_session(answer, request, settings)
    return answer


async def _log_out_url(services: Services, settings: LoginSettings, name: str) -> str | None:
    provider = settings.provider(name) if name else None
    if provider is None:
        return None
    try:
        return await services.logins.sign_on.log_out_url(provider, f"{settings.public_url}/")
    except IdentityError:  # the session here has ended all the same
        return None


def check_session(outcome: SessionOutcome) -> None:
    """Raise the error of a request about a session that failed."""
    if outcome.code == "unavailable":
        raise StoreError(outcome.problem)
    if outcome.code:
        raise ApiError(403 if outcome.code == "forbidden" else 401, outcome.code, outcome.problem)
