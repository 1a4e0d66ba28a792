"""Virtual keys made by API as entries of the configuration file: exported from one gateway, and applied to another.

Only digests of values are written, so the clients' keys work at both. Applying makes and changes keys, and deletes
none: the platform that makes keys is rarely the one that applies a file.
"""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Struct

from pointsman.config.live_policies import APART, PolicyCompiler, read_policy
from pointsman.config.snapshot_file import Compiled
from pointsman.control.inquiries.keys import KeyOutcome, MakeKeyOrder, RotateKey, SetKey
from pointsman.control.inquiries.resources import EditedResource, FaultyField
from pointsman.control.keys import KeyBook
from pointsman.control.store.store import Store
from pointsman.control.store.tables import Row
from pointsman.domain.audit import Actor
from pointsman.domain.identity import KeyTable

MOST = 10_000  # keys in an export
KIND = "virtual_key"
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")


class DocumentKey(Struct, frozen=True, kw_only=True):
    """A key of a document. `settings` are those of its policy, and `expires_at` is Unix seconds."""

    name: str
    digest: str
    settings: Mapping[str, Any]
    expires_at: float | None = None

    @property
    def entry(self) -> dict[str, Any]:
        """The entry of `governance.virtual_keys`."""
        entry: dict[str, Any] = {"value": f"sha256:{self.digest}", **self.settings}
        if self.expires_at is not None:
            entry["expires_at"] = datetime.fromtimestamp(self.expires_at, UTC).isoformat()
        return entry


async def stored_keys(store: Store) -> tuple[dict[str, Any], list[str]]:
    """Return the entries of stored keys by name, and notes about those that are left out: disabled keys would be valid
    elsewhere, and child keys end soon."""
    entries: dict[str, Any] = {}
    disabled = children = 0
    async for row in store.api_keys.every():
        disabled, children = disabled + (not row["is_enabled"]), children + bool(row["parent"])
        if row["is_enabled"] and not row["parent"]:
            entries[row["name"]] = _of(row).entry
        if len(entries) > MOST:
            return {}, [f"there are more than {MOST} virtual keys made by API, so none is in this document"]
    left_out = (("disabled key", disabled), ("child key", children))
    return entries, [f"{count} {noun}(s) made by API are not in this document" for noun, count in left_out if count]


def keys_in(entries: object, own: object) -> tuple[list[DocumentKey], list[FaultyField]]:
    """Return the keys of `governance.virtual_keys` in a document, without those of the server's `own` file, and the
    faults of form."""
    keys, faults = list[DocumentKey](), list[FaultyField]()
    mine = own if isinstance(own, Mapping) else {}
    for name, given in entries.items() if isinstance(entries, Mapping) else ():
        entry, label = _full(given), f"{KIND} {name}"
        if name in mine:
            if _plain(_full(mine[name])) != _plain(entry):
                message = "is managed by the server's configuration file, and differs from it; edit it there"
                faults.append(FaultyField("", message, label))
            continue
        try:
            keys.append(_read(str(name), entry))
        except ValueError as error:
            field, _, message = str(error).partition(": ")
            faults.append(FaultyField(field, message, label))
    return keys, faults


def faults_under(compiled: Compiled, environ: Mapping[str, str], keys: Sequence[DocumentKey]) -> list[FaultyField]:
    """Return the faults of keys under a configuration."""
    faults: list[FaultyField] = []
    compiler = PolicyCompiler(compiled, environ) if keys else None
    for key in keys:
        text, problems = read_policy(key.settings)
        if not problems and compiler is not None:
            _, problems = compiler.compile(text)
        faults += [FaultyField(one.field, one.message, f"{KIND} {key.name}") for one in problems]
    return faults


async def changes_to(
    store: Store, keys: Sequence[DocumentKey], table: Mapping[bytes, object]
) -> tuple[list[EditedResource], list[FaultyField]]:
    """Return the changes that make stored keys be those of a document, and the faults of keys that cannot be so."""
    changes, faults = list[EditedResource](), list[FaultyField]()
    for key in keys:
        row = await store.api_keys.get(key.name)
        before = _of(row) if row is not None else None
        if before == key:
            continue
        is_new_value = before is None or before.digest != key.digest
        label = f"{KIND} {key.name}"
        if row is not None and row["parent"]:
            faults.append(FaultyField("", "is the name of a child key here; choose another", label))
        elif is_new_value and isinstance(table, KeyTable) and table.is_revoked(bytes.fromhex(key.digest)):
            faults.append(FaultyField("value", "was revoked here; remove the key, or give it another value", label))
        else:
            changes.append(
                EditedResource(
                    kind=KIND, name=key.name, before=before.entry if before is not None else None, after=key.entry
                )
            )
    return changes, faults


async def make_so(store: Store, keys: KeyBook, wanted: Sequence[DocumentKey], actor: Actor) -> list[int]:
    """Make stored keys be these, one after the other: a call that failed half-way may be repeated. Return the slots of
    workers that have not taken a change. Raises `KeyRejectedError` and `StoreError`."""
    waiting = set[int]()
    for key in wanted:
        for order in await _orders(store, key, actor.name):
            outcome = await _carry_out(keys, order, actor)
            waiting |= set(outcome.waiting)
    return sorted(waiting)


async def _orders(store: Store, key: DocumentKey, author: str) -> list[MakeKeyOrder | RotateKey | SetKey]:
    row, settings = await store.api_keys.get(key.name), json.dumps(dict(key.settings)).encode()
    if row is None:
        order = MakeKeyOrder(
            name=key.name, settings=settings, author=author, digest=key.digest, expires_at=key.expires_at
        )
        return [order]
    before, orders = _of(row), list[MakeKeyOrder | RotateKey | SetKey]()
    if before.digest != key.digest:
        orders.append(RotateKey(name=key.name, author=author, digest=key.digest))
    if (before.settings, before.expires_at) != (key.settings, key.expires_at):
        patch = json.dumps({**dict.fromkeys(before.settings), **key.settings}).encode()
        orders.append(SetKey(name=key.name, author=author, settings=patch, expires_at=key.expires_at or 0.0))
    return orders


async def _carry_out(keys: KeyBook, order: MakeKeyOrder | RotateKey | SetKey, actor: Actor) -> KeyOutcome:
    if isinstance(order, MakeKeyOrder):
        return await keys.make(order, actor)
    return await (keys.rotate(order, actor) if isinstance(order, RotateKey) else keys.set(order, actor))


def _plain(data: object) -> object:
    """Return data as JSON has them, without the dates of YAML."""
    return msgspec.json.decode(msgspec.json.encode(data))


def _full(entry: object) -> dict[str, Any]:
    return dict(entry) if isinstance(entry, Mapping) else {"value": entry}


def _read(name: str, entry: Mapping[str, Any]) -> DocumentKey:
    """Read an entry. Raises `ValueError` with the field at fault."""
    match = _DIGEST.fullmatch(str(entry.get("value", "")).lower())
    if match is None:
        raise ValueError("value: must be `sha256:` and the key's SHA-256; `pointsman apply` resolves references")
    if "previous_value" in entry:
        raise ValueError("previous_value: cannot be applied; remove it, or rotate the key")
    ends, expires_at = entry.get("expires_at"), None
    if ends is not None:
        try:
            moment = datetime.fromisoformat(str(ends))
        except ValueError:
            moment = None
        if moment is None or moment.tzinfo is None:
            raise ValueError("expires_at: must be a time with an offset from UTC, such as 2027-01-01T00:00:00Z")
        expires_at = moment.timestamp()
    settings = {field: value for field, value in entry.items() if field not in APART}
    return DocumentKey(name=name, digest=match[1], settings=settings, expires_at=expires_at)


def _of(row: Row) -> DocumentKey:
    ends = row["expires_at"]
    return DocumentKey(
        name=row["name"],
        digest=row["digest"],
        settings=json.loads(row["settings"]),
        expires_at=datetime.fromtimestamp(ends, UTC).timestamp() if ends is not None else None,  # as in the document
    )
