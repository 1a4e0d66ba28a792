"""The users of the console, their sessions, and service tokens."""

from msgspec import Struct

from pointsman.domain.rights import RoleGrant

LOCAL = "local"  # the issuer of users who have a password here

# The holders of grants.


def user_holder(id_: str) -> str:
    return f"user:{id_}"


def token_holder(name: str) -> str:
    return f"token:{name}"


class User(Struct, frozen=True, kw_only=True):
    """A user. `issuer` and `subject` are the identity: `local` and the name to log in with, or those of an identity
    provider. `name` is only shown. `password` is an argon2id hash, and `totp` a sealed secret; both may be empty.
    `totp_step` is the number of the last code that was used, and `granted` are the roles that people gave. `mapped` are
    those that the user's groups gave at the last login. Times are Unix seconds."""

    id: str
    issuer: str
    subject: str
    name: str
    password: str = ""
    totp: str = ""
    totp_step: int = 0
    is_disabled: bool = False
    created_at: float
    changed_at: float
    logged_in_at: float | None = None
    granted: tuple[RoleGrant, ...] = ()
    mapped: tuple[RoleGrant, ...] = ()

    @property
    def grants(self) -> tuple[RoleGrant, ...]:
        """Return all roles with their scopes, each once."""
        return tuple(sorted({*self.granted, *self.mapped}))

    @property
    def label(self) -> str:
        """Return the identity for the audit log. Names of identity providers may repeat, so theirs has the id."""
        return f"user:{self.subject}" if self.issuer == LOCAL else f"user:{self.name} ({self.id})"


class ServiceToken(Struct, frozen=True, kw_only=True):
    """A token of a program. `author` made it. Times are Unix seconds."""

    name: str
    author: str
    created_at: float
    expires_at: float
    grants: tuple[RoleGrant, ...] = ()


class ConsoleSession(Struct, frozen=True, kw_only=True):
    """A session of a user at the console. `digest` is the SHA-256 of its secret, in hexadecimal. `provider` is the
    identity provider that the user logged in at; empty text for a password. It confirmed the user last at `checked_at`,
    and `refresh` is a sealed refresh token to ask it again with. Times are Unix seconds."""

    digest: str
    user_id: str
    address: str
    made_at: float
    seen_at: float
    ends_at: float
    provider: str = ""
    checked_at: float = 0.0
    refresh: str = ""
