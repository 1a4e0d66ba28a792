"""/api/v1/login/{provider}: logins at identity providers."""

import logging
from time import time
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request, Response
from fastapi.responses import RedirectResponse

from pointsman.admin.api.login import check_session
from pointsman.admin.callers import SESSION_PREFIX
from pointsman.admin.logins import (
    address_of,
    begun,
    clear_begun,
    digest_of,
    new_secret,
    set_begun,
    set_session,
)
from pointsman.admin.permissions import Need, Permission
from pointsman.admin.problems import ApiError
from pointsman.admin.services import Has
from pointsman.admin.sign_on.client import ProviderAwayError
from pointsman.admin.sign_on.flow import LOGIN_S
from pointsman.admin.sign_on.identity import IdentityError
from pointsman.control.inquiries.console import LoginSettings, SignOnProvider
from pointsman.control.inquiries.logins import SessionOutcome, SignOn

router = APIRouter(prefix="/api/v1/login", tags=["access"], dependencies=[Depends(Need(Permission.PUBLIC))])

ProviderName = Annotated[str, Path(max_length=64)]

_logger = logging.getLogger(__name__)


@router.get("/{provider}")
async def begin(services: Has, request: Request, provider: ProviderName) -> Response:
    """Send the browser to an identity provider."""
    settings = await services.login_settings()
    found = _provider(settings, provider)
    try:
        url, content = await services.logins.sign_on.begin(found, _return_url(settings, provider))
    except IdentityError as error:
        raise _failed(error, found) from None
    answer = RedirectResponse(url, 303)
    set_begun(answer, request, settings, content, LOGIN_S)
    return answer


@router.get("/{provider}/callback")
async def finish(services: Has, request: Request, provider: ProviderName) -> Response:
    """Begin a session when the browser comes back from an identity provider. Then show the console."""
    settings = await services.login_settings()
    found = _provider(settings, provider)
    request.state.address = address_of(request, settings)
    query = {name: value for name, value in request.query_params.items() if len(value) < 8192}
    try:
        confirmed = await services.logins.sign_on.finish(
            found, _return_url(settings, provider), begun(request, settings), query
        )
    except IdentityError as error:
        raise _failed(error, found) from None
    secret, identity = new_secret(SESSION_PREFIX), confirmed.identity
    longest_s = settings.max_s if confirmed.refresh else min(settings.max_s, found.recheck_s)
    inquiry = SignOn(
        provider=found.name,
        issuer=found.issuer,
        subject=identity.subject,
        name=identity.name,
        grants=identity.grants(found),
        digest=digest_of(secret),
        address=address_of(request, settings),
        ends_at=time() + longest_s,
        refresh=confirmed.refresh,
    )
    (outcome,) = await services.control.ask(inquiry, SessionOutcome)
    check_session(outcome)
    answer = RedirectResponse("/", 303)
    set_session(answer, request, settings, secret)
    clear_begun(answer, request, settings)
    return answer


def _provider(settings: LoginSettings, name: str) -> SignOnProvider:
    found = settings.provider(name)
    if found is None:
        raise ApiError(404, "not_found", f"there is no identity provider {name!r}; GET /api/v1/login lists them")
    return found


def _return_url(settings: LoginSettings, provider: str) -> str:
    """Return the address that the identity provider sends the browser to. It never depends on the request."""
    return f"{settings.public_url}/api/v1/login/{provider}/callback"


def _failed(error: IdentityError, provider: SignOnProvider) -> ApiError:
    _logger.warning("a login at %s failed: %s", provider.name, error)
    if isinstance(error, ProviderAwayError):
        return ApiError(502, "provider_unavailable", str(error))
    return ApiError(401, "unauthorized", str(error))
