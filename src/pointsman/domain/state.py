"""What providers keep for clients, such as files, stored responses and threads: who owns it, and where it is kept."""

from msgspec import Struct

MADE, SEEN, GONE = "made", "seen", "gone"
EVERYBODY = ""
"""The owner of what is made without a virtual key."""


def owner_of(virtual_key: str | None, team: str | None) -> str:
    """Whose a thing is that a key makes: its team's, else its own."""
    if team is not None:
        return f"team:{team}"
    return f"virtual_key:{virtual_key}" if virtual_key is not None else EVERYBODY


class Named(Struct, frozen=True, gc=False):
    """An id that a request names. `param` is the field it stands in, `None` for the path."""

    kind: str
    id: str
    param: str | None = None


class Touched(Struct, frozen=True, gc=False):
    """What of a provider's state a request has to do with.

    `names` are the ids it names. `creates` is the kind of what it makes, `lists` the kind that it lists, `deletes` the
    id of what it deletes. With `learns` the answer may tell of further ids. `has_items` says that parts of the answer
    can be named by later requests, and `reads_all` is the field that asks for whatever an account keeps.
    """

    names: tuple[Named, ...] = ()
    creates: str | None = None
    lists: str | None = None
    deletes: str | None = None
    learns: bool = False
    has_items: bool = False
    reads_all: str | None = None


class Pin(Struct, frozen=True, gc=False):
    """Where a call has to go: to the provider and the key that keep `what`."""

    provider: str
    key: str
    what: str


class Record(Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """Who owns one thing and where it is kept. `at` is when it was made or last used, in Unix seconds."""

    id: str
    kind: str
    provider: str
    key: str
    owner: str
    at: float


class Change(Struct, frozen=True, array_like=True, gc=False):
    """`MADE`: a provider made it just now, so it is not what had the id before. `SEEN`: it belongs to this owner unless
    it has one. `GONE`: it was deleted."""

    how: str
    record: Record


def after(known: Record | None, change: Change) -> Record | None:
    """What is known of a thing after a change."""
    record = change.record
    if change.how == GONE:
        return None
    if known is None or (change.how == MADE and record.at >= known.at):
        return record
    return record if known.owner == record.owner and record.at > known.at else known
