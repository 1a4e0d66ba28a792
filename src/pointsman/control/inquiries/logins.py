"""Logins at the console, and the sessions that they begin.

`LoginAttempt` is answered by one `LoginVerdict`, the others by one `SessionOutcome` each. Digests are the SHA-256 of a
session's secret, in hexadecimal. Times are Unix seconds.
"""

from typing import Literal

from msgspec import Struct

from pointsman.domain.rights import RoleGrant


class LoginAttempt(Struct, frozen=True, tag="login_attempt"):
    """Count an attempt to log in as failed, before the password is checked. A session of the account ends the count."""

    account: str
    address: str


class OpenSession(Struct, frozen=True, kw_only=True, tag="open_session"):
    """Begin a session of a user whose password was right. `password` is the hash that it was compared with, `code` the
    one-time code that was presented, and `account` the name."""

    user_id: str
    account: str
    password: str
    code: str
    digest: str
    address: str
    ends_at: float


class SignOn(Struct, frozen=True, kw_only=True, tag="sign_on"):
    """Begin a session of a user whom an identity provider vouches for. An unknown one is created. `grants` are the
    roles that the user's groups give. `refresh` is a token to ask the provider again with, or empty."""

    provider: str
    issuer: str
    subject: str
    name: str
    grants: tuple[RoleGrant, ...]
    digest: str
    address: str
    ends_at: float
    refresh: str = ""


class ConfirmSession(Struct, frozen=True, kw_only=True, tag="confirm_session"):
    """Note that the identity provider has confirmed the user of a session. It may have changed the groups."""

    digest: str
    grants: tuple[RoleGrant, ...]
    refresh: str


class TouchSession(Struct, frozen=True, tag="touch_session"):
    """Note that a session is in use."""

    digest: str


class CloseSession(Struct, frozen=True, tag="close_session"):
    """End a session. `reason` is for the log."""

    digest: str
    reason: str
    address: str = ""


class RefreshInquiry(Struct, frozen=True, tag="refresh_token"):
    """Return the refresh token of a session as the outcome's `refresh`; empty if it has none."""

    digest: str


class LoginVerdict(Struct, frozen=True):
    """The seconds to wait before the next attempt; 0 if this one may go on."""

    wait_s: float = 0.0
    problem: str = ""


class SessionOutcome(Struct, frozen=True):
    """The end of a request about a session. `code` is empty if it is done."""

    code: Literal["", "unauthorized", "code_required", "forbidden", "unavailable"] = ""
    problem: str = ""
    user_id: str = ""
    refresh: str = ""
