"""Objects that providers store for clients, such as files, stored responses and threads: their owners and places."""

from msgspec import Struct
from msgspec.structs import replace

MADE, SEEN, GONE = "made", "seen", "gone"
EVERYBODY = ""
"""The owner of objects made without a virtual key."""


def owner_of(virtual_key: str | None, team: str | None) -> str:
    """Return the owner of an object that a key makes: its team, else the key itself."""
    if team is not None:
        return f"team:{team}"
    return f"virtual_key:{virtual_key}" if virtual_key is not None else EVERYBODY


class Named(Struct, frozen=True, gc=False):
    """An id that a request names. `param` is the field that holds it, `None` for the path."""

    kind: str
    id: str
    param: str | None = None


class Touched(Struct, frozen=True, gc=False):
    """The stored objects that a request uses.

    `names` are the ids it names. `creates` is the kind of object it makes, `lists` the kind that it lists, and
    `deletes` the id that it deletes. With `learns` the answer may contain further ids. With `has_items`, later requests
    can name parts of the answer. `reads_all` is the field that requests all objects of an account.
    """

    names: tuple[Named, ...] = ()
    creates: str | None = None
    lists: str | None = None
    deletes: str | None = None
    learns: bool = False
    has_items: bool = False
    reads_all: str | None = None


class Pin(Struct, frozen=True, gc=False):
    """The required place of a call: the provider and the key that store the object described by `what`. A call that
    `follows_rules` goes to their targets, if these are at that place."""

    provider: str
    key: str
    what: str
    follows_rules: bool = False


class Record(Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """The owner and the place of one object. `at` is the time it was made or last used, in Unix seconds. `note` is what
    the gateway knows of its contents: the work in the file of a batch (`domain.batches`), else empty."""

    id: str
    kind: str
    provider: str
    key: str
    owner: str
    at: float
    note: str = ""


class Change(Struct, frozen=True, array_like=True, gc=False):
    """A change of one object. `MADE`: a provider has just made it, so an earlier object with this id is another one.
    `SEEN`: it belongs to this owner unless it has one. `GONE`: it was deleted."""

    how: str
    record: Record


def after(known: Record | None, change: Change) -> Record | None:
    """Return the record of an object after a change."""
    record = change.record
    if change.how == GONE:
        return None
    if known is None or (change.how == MADE and record.at >= known.at):
        return record
    return replace(record, note=known.note) if known.owner == record.owner and record.at > known.at else known
