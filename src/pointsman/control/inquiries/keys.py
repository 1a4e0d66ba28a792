"""Virtual keys that are made by API."""

from msgspec import Struct

from pointsman.control.store.replies import Repeat

Scope = dict[str, list[str]]
"""The owners of a caller that may see and change some keys only: names by `team`, `customer` and `virtual_key`."""


class MakeKeyOrder(Struct, frozen=True, kw_only=True, tag="make_key"):
    """Answered by one `KeyOutcome` with the value of the key. `settings` is JSON: the fields of an entry of
    `governance.virtual_keys` without values and expiry. `digest` is the SHA-256 of the client's own value in
    hexadecimal; without it, control makes a value. With a `parent`, the key is a child of that key."""

    name: str
    settings: bytes
    author: str
    digest: str | None = None
    parent: str | None = None
    expires_at: float | None = None
    note: str = ""
    scope: Scope | None = None
    repeat: Repeat | None = None


class MakeMemberKey(Struct, frozen=True, kw_only=True, tag="make_member_key"):
    """Answered by one `KeyOutcome` with the value of the key. A caller makes a key of its own from a template of a team
    in its scope. `holder` is the caller, such as `member:user:u-1`."""

    name: str
    template: str
    holder: str
    scope: Scope | None
    digest: str | None = None
    expires_at: float | None = None
    note: str = ""
    repeat: Repeat | None = None


class TemplateInquiry(Struct, frozen=True, tag="templates"):
    """Answered by an `AccessTemplate` for each template of a team in the scope."""

    scope: Scope | None


class SetKey(Struct, frozen=True, kw_only=True, tag="set_key"):
    """Answered by one `KeyOutcome`. `settings` is JSON: the fields to change; `null` removes one. `version` is that of
    the state to change, if it matters. A change of `expires_at` to 0 removes it."""

    name: str
    author: str
    settings: bytes = b"{}"
    expires_at: float | None = None
    note: str | None = None
    is_enabled: bool | None = None
    version: int | None = None
    scope: Scope | None = None


class RotateKey(Struct, frozen=True, kw_only=True, tag="rotate_key"):
    """Answered by one `KeyOutcome` with the new value. The old value is valid for `grace_s` more seconds. `revokes`
    deletes the children of the key. With a `holder`, it must be that member's own key."""

    name: str
    author: str
    grace_s: float = 0.0
    revokes: bool = False
    digest: str | None = None
    version: int | None = None
    scope: Scope | None = None
    holder: str = ""
    repeat: Repeat | None = None


class DeleteKey(Struct, frozen=True, kw_only=True, tag="delete_key"):
    """Answered by one `KeyOutcome`. The children of the key are deleted, too. With a `holder`, it must be that member's
    own key."""

    name: str
    author: str
    version: int | None = None
    scope: Scope | None = None
    holder: str = ""


class ListFileKeys(Struct, frozen=True, tag="file_keys"):
    """Answered by a `FileKey` for each key of the configuration file and its keys file, in the order of their names:
    those after the name `after` with this `text` in their names, up to `limit`; or the one with the `name`."""

    limit: int
    after: str = ""
    text: str = ""
    team: str | None = None
    owners: Scope | None = None
    name: str | None = None


class FileKey(Struct, frozen=True):
    """A key of the file. `expires_at` is in Unix seconds."""

    name: str
    team: str | None
    customer: str | None
    sha256: str
    expires_at: float | None
    labels: dict[str, str]
    limits: list[str]


class KeyFault(Struct, frozen=True):
    """A field at fault, as a path, and the reason."""

    field: str
    message: str


class KeyOutcome(Struct, frozen=True, kw_only=True):
    """The end of a change. `row` is JSON: the columns of the key in the store. `value` is its value, which nobody can
    see again. `waiting` are the slots of workers that have not taken the change yet. If it was rejected, `code` and
    `message` are the reason, and `faults` the fields at fault. `is_replayed` is true for the outcome of an earlier call
    with the same idempotency key, which has no value."""

    row: bytes = b""
    value: str | None = None
    waiting: list[int] = []
    code: str = ""
    message: str = ""
    faults: list[KeyFault] = []
    is_replayed: bool = False
