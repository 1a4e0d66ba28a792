"""Users, roles, service tokens and logins: changes of callers of the admin API.

Each of these is answered by one `AccessOutcome`.
"""

from typing import Literal

from msgspec import Struct

from pointsman.control.store.replies import Repeat
from pointsman.domain.permissions import Permission
from pointsman.domain.rights import Rights, RoleGrant


class Author(Struct, frozen=True):
    """The caller who wants a change: its name for the audit log, its rights, and its address. `until` is the end of its
    own credential in Unix seconds, if that has one. The admin token `may_change_last_owner`."""

    name: str
    rights: Rights
    address: str = ""
    until: float | None = None
    may_change_last_owner: bool = False


class CreateUser(Struct, frozen=True, tag="create_user"):
    """Make a user with this name to log in, and this hash of a password."""

    author: Author
    name: str
    password: str
    grants: tuple[RoleGrant, ...]
    repeat: Repeat | None = None


class ChangeUser(Struct, frozen=True, kw_only=True, tag="change_user"):
    """Change the fields of a user that are not `None`. A new hash of a password, and `drops_totp`, end its sessions. If
    `changed_at` is set, the user must not have been changed since."""

    author: Author
    id: str
    name: str | None = None
    password: str | None = None
    is_disabled: bool | None = None
    drops_totp: bool = False
    grants: tuple[RoleGrant, ...] | None = None
    changed_at: float | None = None


class DeleteUser(Struct, frozen=True, tag="delete_user"):
    """Delete a user with its sessions."""

    author: Author
    id: str


class EndSessions(Struct, frozen=True, tag="end_sessions"):
    """End the sessions of a user, except the one with the digest `but`."""

    author: Author
    id: str
    but: str | None = None


class SetRole(Struct, frozen=True, tag="set_role"):
    """Make a role, or replace it."""

    author: Author
    name: str
    permissions: frozenset[Permission]
    note: str = ""
    repeat: Repeat | None = None


class DeleteRole(Struct, frozen=True, tag="delete_role"):
    """Delete a role that nobody has."""

    author: Author
    name: str


class CreateServiceToken(Struct, frozen=True, tag="create_service_token"):
    """Make a service token with this SHA-256, in hexadecimal. It ends at `expires_at`, in Unix seconds."""

    author: Author
    name: str
    digest: str
    grants: tuple[RoleGrant, ...]
    expires_at: float
    repeat: Repeat | None = None


class DeleteServiceToken(Struct, frozen=True, tag="delete_service_token"):
    """Revoke a service token."""

    author: Author
    name: str


class SetOwnPassword(Struct, frozen=True, tag="set_own_password"):
    """Replace the hash of a user's own password, which was `old`, and end its other sessions."""

    author: Author
    id: str
    old: str
    new: str
    session: str


class ConfirmTotp(Struct, frozen=True, tag="confirm_totp"):
    """Require one-time codes of this secret, in base32, at logins of a user from now on, if the code is right."""

    author: Author
    id: str
    secret: str
    code: str


class DropTotp(Struct, frozen=True, tag="drop_totp"):
    """Require no one-time codes of the author any more."""

    author: Author
    id: str


class AccessOutcome(Struct, frozen=True):
    """The end of a change. `code` is empty if it is in force, and `field` is the field at fault, if any. `name` is the
    id or the name of the object. With `changed`, somebody else changed it meanwhile; with `unavailable`, the store is
    at fault; with `key_reused`, the idempotency key was used for another call. `is_replayed` is true for the outcome of
    an earlier call with the same one."""

    code: Literal[
        "", "not_found", "conflict", "changed", "forbidden", "invalid", "unauthorized", "code_required", "unavailable",
        "key_reused",
    ] = ""  # fmt: skip
    problem: str = ""
    field: str = ""
    name: str = ""
    is_replayed: bool = False
