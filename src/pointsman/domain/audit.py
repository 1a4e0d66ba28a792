"""The audit log: its events, their chain of hashes, and the masks of fields that hold secrets.

The hash of a record is the SHA-256 of the hash before and of the record's fields in JSON. So a record that was changed,
removed or moved breaks the chain. A chain that was computed anew, or that lost its end, does not fit the anchor, which
is kept outside the database: see `control.anchor`.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256

from msgspec import Struct, json
from msgspec.structs import astuple, replace

FIRST = "0" * 64  # the hash before the first record
MASK = "***"
MAX_TEXT = 2000  # characters of a text in a record; longer ones are cut

_SECRET = re.compile(
    r"(^|[._])(value|password|totp|refresh|digest|previous_digest|hint|sha256|secret|secrets|secret_access_key"
    r"|session_token|client_secret|token|api_key|google|authorization)(\[\d+\])?$|(^|\.)headers\.|^providers\.[^.]+$",
    re.IGNORECASE,
)
_REFERENCES = ("env.", "file:")
_SEALED = "sealed:"


class Actor(Struct, frozen=True):
    """The caller: `admin-token`, `token:NAME`, `user:NAME`, `virtual_key:NAME`, or the gateway itself. `address`
    is that of the client, and `request_id` that of the call."""

    name: str = "gateway"
    address: str = ""
    request_id: str = ""


class ChangedField(Struct, frozen=True):
    """A field with its values before and after; `None` is absent. Fields that hold secrets are masked."""

    kind: str
    name: str
    field: str
    before: object = None
    after: object = None


class AuditEvent(Struct, frozen=True, kw_only=True):
    """One call. `kind` and `name` are its object, `team` and `customer` the owners of that. `outcome` is `done`, or
    `refused` and the code of the error. `configuration` is the digest of the configuration that it puts in force."""

    action: str
    kind: str
    name: str = ""
    team: str = ""
    customer: str = ""
    outcome: str = "done"
    note: str = ""
    changes: tuple[ChangedField, ...] = ()
    configuration: str = ""


class AuditRecord(Struct, frozen=True):
    """A record. `number` counts from 1, `at` is Unix seconds, and `changes` is JSON. `hash` is that of the chain."""

    number: int
    at: float
    actor: str
    address: str
    request_id: str
    action: str
    kind: str
    name: str
    team: str
    customer: str
    outcome: str
    note: str
    changes: str
    configuration: str
    hash: str = ""

    def following(self, before: str) -> str:
        """Return the hash of this record after the one with the hash `before`."""
        fields = json.encode(astuple(self)[:-1])
        return sha256(before.encode() + b"\n" + fields).hexdigest()


class ChainEnd(Struct, frozen=True):
    """The number and the hash of the last record."""

    number: int = 0
    hash: str = FIRST


def chained(end: ChainEnd, at: float, actor: Actor, events: Iterable[AuditEvent]) -> Iterator[AuditRecord]:
    """Yield the records of some events after the end of the chain."""
    number, before = end.number, end.hash
    for event in events:
        number += 1
        record = AuditRecord(
            number=number,
            at=at,
            actor=clean(actor.name),
            address=clean(actor.address),
            request_id=clean(actor.request_id),
            action=event.action,
            kind=clean(event.kind),
            name=clean(event.name),
            team=clean(event.team),
            customer=clean(event.customer),
            outcome=clean(event.outcome),
            note=clean(event.note),
            changes=json.encode(event.changes).decode().replace("\\u0000", "\\ufffd"),
            configuration=event.configuration,
        )
        before = record.following(before)
        yield replace(record, hash=before)


def clean(text: str) -> str:
    """Return a text that every database stores unchanged."""
    return text[:MAX_TEXT].encode("utf-8", "backslashreplace").decode().replace("\x00", "\\x00")


def difference(kind: str, name: str, before: object, after: object) -> tuple[ChangedField, ...]:
    """Return the fields that differ between two states of an object; `None` is no object. Fields that hold secrets are
    masked."""
    old, new = dict(_fields("", before)), dict(_fields("", after))
    fields = sorted(one for one in {**old, **new} if old.get(one) != new.get(one))
    return tuple(
        ChangedField(kind, name, one, _masked(one, old.get(one)), _masked(one, new.get(one))) for one in fields
    )


def _fields(path: str, value: object) -> Iterator[tuple[str, object]]:
    """Yield each field of a state with its path."""
    if isinstance(value, Mapping) and value:
        for name, one in value.items():
            yield from _fields(f"{path}.{name}" if path else str(name), one)
    elif value is not None:
        yield path, value


def _masked(path: str, value: object) -> object:
    """Return the value of a field without secrets. The place of a secret is kept, so that its fields can be masked."""
    if isinstance(value, str):
        is_secret = _SECRET.search(path) is not None and not value.startswith(_REFERENCES)
        return MASK if (is_secret and value) or value.startswith(_SEALED) else clean(value)
    if isinstance(value, Mapping):
        return {clean(str(name)): _masked(f"{path}.{name}", one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_masked(f"{path}[{at}]", one) for at, one in enumerate(value)]
    return value


class ChainCheck:
    """Checks records in their order. `end` is that of the chain so far, and `faults` the first ones of those found."""

    AT_MOST = 20

    def __init__(self) -> None:
        self.end = ChainEnd()
        self.faults: list[str] = []
        self.count = 0

    def add(self, record: AuditRecord) -> None:
        """Check the next record."""
        self.count += 1
        expected = self.end.number + 1
        if record.number != expected:
            self._fault(f"record {record.number} follows {self.end.number}: records were removed, added or moved")
        elif record.hash != record.following(self.end.hash):
            self._fault(f"record {record.number} was changed, or the one before it")
        self.end = ChainEnd(record.number, record.hash)

    def _fault(self, text: str) -> None:
        if len(self.faults) < self.AT_MOST:
            self.faults.append(text)
