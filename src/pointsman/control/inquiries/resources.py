"""Resources: made by API, or read from the configuration file."""

from typing import Any, Literal

from msgspec import Struct

from pointsman.control.store.replies import Repeat


class ResourceEdit(Struct, frozen=True, kw_only=True):
    """One edit. `create` requires that the name is new, `put` makes or replaces, `patch` merges `spec` into the present
    content (RFC 7396), and `delete` removes. With `if_version`, the resource must have that version, 0 for none."""

    action: Literal["create", "put", "patch", "delete"]
    kind: str
    name: str
    spec: Any = None
    if_version: int | None = None


class EditResources(Struct, frozen=True, kw_only=True, tag="edit_resources"):
    """All edits or none. Answered by one `EditOutcome`. With `repeat`, the same call again gets the reply to the first
    one."""

    edits: list[ResourceEdit]
    author: str
    note: str = ""
    is_dry_run: bool = False
    repeat: Repeat | None = None


class ApplyDocument(Struct, frozen=True, kw_only=True, tag="apply_document"):
    """Make the resources be those in a document, in the form of the configuration file, and make and change its virtual
    keys. Entries that the server's own file has must be equal there. `may_write_keys` is the right of the author.
    Answered by one `EditOutcome`."""

    document: dict[str, Any]
    author: str
    may_write_keys: bool = False
    note: str = ""
    is_dry_run: bool = False


class RollBack(Struct, frozen=True, kw_only=True, tag="roll_back"):
    """Make the resources be those of an earlier version, 0 for none. Answered by one `EditOutcome`."""

    number: int
    author: str
    note: str = ""
    is_dry_run: bool = False


class RotateMasterKey(Struct, frozen=True, kw_only=True, tag="rotate_master_key"):
    """Seal all secrets with a new key. Answered by one `RotationOutcome`."""

    author: str


class ResourceInquiry(Struct, frozen=True, kw_only=True, tag="resources"):
    """Answered by a `ResourceState` for each resource of a kind, or for the one of this name."""

    kind: str
    name: str | None = None


class DocumentInquiry(Struct, frozen=True, kw_only=True, tag="document"):
    """Answered by one `ExportedDocument`. With `only_made`, it has only the resources made by API."""

    only_made: bool = False


# Items of answers.


class ResourceState(Struct, frozen=True, kw_only=True):
    """A resource in force. `owner` is `file` or `api`. One of the file has the `line` where it begins, and no version.
    Times are Unix seconds. Secrets are sealed."""

    kind: str
    name: str
    owner: str
    spec: Any
    line: int | None = None
    version: int | None = None
    created_at: float | None = None
    updated_at: float | None = None
    author: str | None = None


class FaultyField(Struct, frozen=True):
    """A field at fault, and the reason. `resource` is the resource that has it, such as `team research`, if it is not
    the one of the call."""

    field: str
    message: str
    resource: str = ""


class EditedResource(Struct, frozen=True, kw_only=True):
    """The change of one resource: its content before, unless it is new, and after, unless it was deleted."""

    kind: str
    name: str
    before: Any = None
    after: Any = None


EditCode = Literal[
    "", "invalid_resource", "not_found", "already_exists", "managed_by_file", "version_mismatch", "store_unavailable",
    "key_reused", "not_written", "forbidden",
]  # fmt: skip


class EditOutcome(Struct, frozen=True, kw_only=True):
    """The end of a change. `code` and `problem` are the reason if nothing was changed, and `faults` the fields at
    fault. `number` is the version in force. `waiting` are the slots of workers that have not taken it yet. `states` are
    the resources of the edits as they are now, and `notes` are messages for the caller."""

    code: EditCode = ""
    problem: str = ""
    faults: list[FaultyField] = []
    number: int = 0
    digest: str = ""
    changes: list[EditedResource] = []
    states: list[ResourceState] = []
    waiting: list[int] = []
    notes: list[str] = []


class RotationOutcome(Struct, frozen=True, kw_only=True):
    """The number of secrets that were sealed again, or the reason why none were."""

    sealed: int = 0
    problem: str = ""


class ExportedDocument(Struct, frozen=True, kw_only=True):
    """A document in the form of the configuration file, and the number of its version. `notes` say what is left out."""

    document: dict[str, Any]
    number: int
    notes: list[str] = []
