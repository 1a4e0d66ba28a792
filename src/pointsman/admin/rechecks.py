"""Sessions of single sign-on are checked with their identity provider from time to time.

If it no longer vouches for the user, the session ends. If it cannot be reached, the session goes on for as long as one
check is apart from the next, and then ends too.
"""

import asyncio
import logging
from time import time

from pointsman.admin.services import Services
from pointsman.admin.sign_on.client import ProviderAwayError, RefusedByProviderError
from pointsman.admin.sign_on.identity import IdentityError
from pointsman.control.inquiries.console import LoginSettings, SignOnProvider
from pointsman.control.inquiries.logins import CloseSession, ConfirmSession, RefreshInquiry, SessionOutcome
from pointsman.domain.users import ConsoleSession, User

RETRY_S = 30.0  # after a failed check

_logger = logging.getLogger(__name__)


async def is_confirmed(services: Services, settings: LoginSettings, session: ConsoleSession, user: User) -> bool:
    """Check a session, and return whether it may go on. Raises `AwayError` and `StoreError`."""
    provider = settings.provider(session.provider)
    if provider is None or provider.issuer != user.issuer:
        return False  # the identity provider was removed
    lock = services.logins.sign_on.checking.setdefault(session.digest, asyncio.Lock())
    async with lock:
        present = await services.access.session(session.digest)
        if present is None:
            return False
        is_valid = not _is_due(present, provider) or await _check(services, provider, present, user)
        services.logins.sign_on.checking.pop(session.digest, None)
        return is_valid


async def _check(services: Services, provider: SignOnProvider, session: ConsoleSession, user: User) -> bool:
    now, digest, tried = time(), session.digest, services.logins.sign_on.tried
    in_time = now - session.checked_at < 2 * provider.recheck_s
    if in_time and now - tried.get(digest, 0.0) < RETRY_S:
        return True
    try:
        refresh = await _refresh_token(services, digest)
        confirmed = await services.logins.sign_on.again(provider, refresh, user.subject)
    except RefusedByProviderError as error:
        reason = str(error)
    except IdentityError as error:
        _logger.warning("a session of %s could not be checked: %s", provider.name, error)
        for one in [one for one, at in tried.items() if now - at >= RETRY_S]:
            del tried[one]
        tried[digest] = now
        if in_time:
            return True
        reason = str(error)
    else:
        grants = confirmed.identity.grants(provider)
        inquiry = ConfirmSession(digest=digest, grants=grants, refresh=confirmed.refresh)
        (outcome,) = await services.control.ask(inquiry, SessionOutcome)
        return not outcome.code
    await services.control.ask(CloseSession(digest, reason), SessionOutcome)
    return False


async def _refresh_token(services: Services, digest: str) -> str:
    (found,) = await services.control.ask(RefreshInquiry(digest), SessionOutcome)
    if found.code == "unavailable":
        raise ProviderAwayError(found.problem)
    if not found.refresh:
        raise RefusedByProviderError("there is no refresh token")
    return found.refresh


def is_due(session: ConsoleSession, settings: LoginSettings) -> bool:
    """Return whether a session must be checked before it may go on."""
    if not session.provider:
        return False
    provider = settings.provider(session.provider)
    return provider is None or _is_due(session, provider)


def _is_due(session: ConsoleSession, provider: SignOnProvider) -> bool:
    return time() - session.checked_at >= provider.recheck_s
