"""Sessions in cookies: their secrets, their cookies, and the protection against requests of other pages."""

import hmac
import secrets
from hashlib import sha256

from fastapi import Request, Response

from pointsman.admin.problems import ApiError
from pointsman.control.inquiries.console import LoginSettings
from pointsman.domain.access import Access
from pointsman.wire.callers import client_address

CSRF_HEADER = "x-pointsman-csrf"
_COOKIE = "pointsman-session"
_LOGIN = "pointsman-login"  # of a login that has begun at an identity provider
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


def new_secret(prefix: str) -> str:
    """Return a new secret with 256 random bits."""
    return f"{prefix}-{secrets.token_urlsafe(32)}"


def digest_of(secret: str) -> str:
    """Return the digest that the store has of a secret."""
    return sha256(secret.encode()).hexdigest()


def csrf_token(secret: str) -> str:
    """Return the token that each change by a session must present. Other pages cannot read it."""
    return sha256(b"csrf:" + secret.encode()).hexdigest()


def address_of(request: Request, settings: LoginSettings) -> str:
    """Return the address of the client, behind trusted proxies too."""
    peer = request.client.host if request.client is not None else None
    forwarded = request.headers.get("x-forwarded-for")
    access = Access(trusted_proxies=settings.trusted_proxies)
    return client_address(peer, forwarded.encode("latin-1") if forwarded is not None else None, access)


def is_secure(request: Request, settings: LoginSettings) -> bool:
    """Return whether the browser uses HTTPS."""
    if settings.public_url is not None:
        return settings.public_url.startswith("https://")
    return request.url.scheme == "https"


def session_secret(request: Request, settings: LoginSettings) -> str | None:
    """Return the secret in the cookie of the session."""
    return request.cookies.get(_name(is_secure(request, settings)))


def set_session(response: Response, request: Request, settings: LoginSettings, secret: str) -> None:
    """Give the browser the secret of a session. Its page cannot read it."""
    secure = is_secure(request, settings)
    response.set_cookie(
        _name(secure), secret, max_age=int(settings.max_s), path="/", secure=secure, httponly=True, samesite="strict"
    )


def clear_session(response: Response, request: Request, settings: LoginSettings) -> None:
    secure = is_secure(request, settings)
    response.delete_cookie(_name(secure), path="/", secure=secure, httponly=True, samesite="strict")


def set_begun(response: Response, request: Request, settings: LoginSettings, content: str, max_age_s: int) -> None:
    """Give the browser the state of a login. It comes back from the page of the identity provider. So this cookie is
    not as strict as that of a session."""
    secure = is_secure(request, settings)
    name = _name(secure, _LOGIN)
    response.set_cookie(name, content, max_age=max_age_s, path="/", secure=secure, httponly=True, samesite="lax")


def begun(request: Request, settings: LoginSettings) -> str | None:
    """Return the state of the login that the browser has begun."""
    return request.cookies.get(_name(is_secure(request, settings), _LOGIN))


def clear_begun(response: Response, request: Request, settings: LoginSettings) -> None:
    secure = is_secure(request, settings)
    response.delete_cookie(_name(secure, _LOGIN), path="/", secure=secure, httponly=True, samesite="lax")


def check_same_origin(request: Request, settings: LoginSettings) -> None:
    """Raise 403 if a browser says that the request comes from another page."""
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    is_own = origin is None or origin == settings.public_url
    is_own = is_own or (origin or "").partition("://")[2] == request.headers.get("host", "")
    if not is_own or site not in (None, "same-origin", "none"):
        raise ApiError(403, "wrong_origin", "this request comes from another page; use the console's own")


def check_csrf(request: Request, settings: LoginSettings, secret: str) -> None:
    """Raise 403 for a change by a session without its token."""
    if request.method in _SAFE:
        return
    check_same_origin(request, settings)
    if not hmac.compare_digest(request.headers.get(CSRF_HEADER, "").encode(), csrf_token(secret).encode()):
        message = f"a session must send the header {CSRF_HEADER}; GET /api/v1/me returns its value as `csrf`"
        raise ApiError(403, "csrf", message)


def _name(secure: bool, cookie: str = _COOKIE) -> str:
    return f"__Host-{cookie}" if secure else cookie
