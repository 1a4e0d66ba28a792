"""Virtual keys that are made by API: each change is in the store, then in the file of keys, then with every worker."""

import asyncio
import json
import logging
import re
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from fnmatch import fnmatchcase
from hashlib import sha256
from time import time
from typing import Any

import msgspec
from msgspec import Struct

from pointsman.config.key_table import FileKeys
from pointsman.config.live_keys import SUM, Extent
from pointsman.config.live_policies import FieldProblem, moment, read_policy
from pointsman.config.snapshot_file import Compiled
from pointsman.control.audit_log import AuditLog
from pointsman.control.inquiries.keys import (
    DeleteKey,
    KeyFault,
    KeyOutcome,
    MakeKeyOrder,
    RotateKey,
    Scope,
    SetKey,
)
from pointsman.control.key_file import KeyFile
from pointsman.control.key_server import KeyServer
from pointsman.control.store.database import StoreError
from pointsman.control.store.replies import KeyReusedError, Repeat, keep_reply
from pointsman.control.store.store import Store
from pointsman.control.store.tables import Row
from pointsman.domain.audit import Actor, AuditEvent, difference
from pointsman.domain.identity import KeysUnavailableError, VirtualKey

PREFIX = "pm-"
HINT = 11  # characters of a value that identify it in lists
WORKERS_S = 2.0  # the longest wait for workers
RETRY_S = 1.0
CHILD_S = 3600.0  # the lifetime of a child, if its client sets none
KEEP_CHILDREN_S = 86_400.0  # how long an expired child stays in lists
AT_ONCE = 500

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_OF_CHILDREN = frozenset({"budgets", "rate_limits", "allow_models", "labels"})
_WILD = frozenset("*?[")
_logger = logging.getLogger(__name__)


class KeyRejectedError(Exception):
    """A change that is not made. `code` is one of the admin API."""

    def __init__(self, code: str, message: str, faults: Iterable[KeyFault] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.faults = list(faults)


class _KeyChange(Struct, kw_only=True):
    """Rows to write, and those that were there before. `gone` are names. `limited` are the names of keys whose limits
    change. `repeat` is the call that asks for it. `action` and `name` are for the audit log; the gateway's own work has
    none."""

    new: list[Row] = []
    changed: list[Row] = []
    gone: list[str] = []
    before: list[Row] = []
    limited: list[str] = []
    action: str = ""
    name: str = ""
    repeat: Repeat | None = None


class KeyBook:
    """All keys made by API. `store` returns the store, or `None` while it is not open. `current` is the configuration
    in force. A change is made one at a time."""

    def __init__(
        self,
        store: Callable[[], Store | None],
        file: KeyFile,
        current: Callable[[], Compiled],
        key_server: KeyServer,
        audit: AuditLog,
    ) -> None:
        self._store = store
        self._audit = audit
        self._file = file
        self._current = current
        self._key_server = key_server
        self._one_at_a_time = asyncio.Lock()
        self._is_behind = True  # the file may differ from the store
        self._catching_up: asyncio.Task[None] | None = None
        self._is_closed = False

    # Other parts of control call these at the start, at a change of the configuration, and at the end.

    async def load(self, store: Store) -> None:  # noqa: ARG002 -- a store was opened
        """Bring the file up to date with a store that was just opened, beside all else."""
        self._fall_behind()

    async def close(self) -> None:
        """Stop the work on the file. Call this before the store is closed."""
        self._is_closed = True
        if (catching_up := self._catching_up) is not None:
            catching_up.cancel()
            # A cancelled query still has to give its connection back.
            await asyncio.wait([catching_up])
        self._file.close()

    @asynccontextmanager
    async def preparing(self, compiled: Compiled) -> AsyncIterator[list[str]]:
        """Keep keys as they are while another configuration is put in force. Yield the reasons against it."""
        async with self._one_at_a_time:
            try:
                yield await asyncio.to_thread(self._file.prepare, compiled)
            except KeysUnavailableError as error:
                _logger.error("%s", error)  # noqa: TRY400
                yield [str(error)]

    async def tidy(self, digests: Sequence[str]) -> None:
        """Forget the policies of other configurations than those with these digests."""
        async with self._one_at_a_time:
            try:
                await asyncio.to_thread(self._file.tidy, digests)
                teams = await asyncio.to_thread(self._file.teams)
                if (store := self._store()) is not None and teams:
                    await store.api_keys.move_teams(teams)
            except (KeysUnavailableError, StoreError) as error:
                _logger.warning("cannot tidy up keys made by API: %s", error)

    async def prune(self) -> None:
        """Delete children that expired long ago, and look whether the file is undamaged. Raises `StoreError`."""
        async with self._one_at_a_time:
            store = self._store()
            if store is None or self._is_behind:
                return
            names = await store.api_keys.over(time() - KEEP_CHILDREN_S, AT_ONCE)
            if names:
                with suppress(KeyRejectedError):
                    await self._apply(_KeyChange(gone=names))
            try:
                await self._compare()
            except KeysUnavailableError:
                self._fall_behind()

    # Changes. Each raises `KeyRejectedError` and `StoreError`. The `actor` is the order's author, with an address.

    async def make(
        self, order: MakeKeyOrder, actor: Actor | None = None, check: Callable[[Store], Awaitable[None]] | None = None
    ) -> KeyOutcome:
        """Make a key. `check` may raise `KeyRejectedError`; no other change comes between it and this one."""
        async with self._one_at_a_time:
            store = self._open()
            if (earlier := await _earlier(store, order.repeat)) is not None:
                return earlier
            if check is not None:
                await check(store)
            return await self._make(store, order, actor or Actor(order.author))

    async def make_child(self, parent: str, body: bytes) -> tuple[KeyOutcome, float]:
        """Make a child for a client of the parent. Return its expiry, too."""
        try:
            fields = msgspec.json.decode(body, type=dict[str, Any])
        except msgspec.DecodeError as error:
            raise KeyRejectedError("invalid_request", f"the body must be a JSON object: {error}") from None
        lasts_s = fields.pop("expires_in_s", None)
        async with self._one_at_a_time:
            store = self._open()
            rights, row = self._usable(parent).children, await store.api_keys.get(parent)
            if rights is None or (row is not None and not row["is_enabled"]):
                raise KeyRejectedError("child_key_not_allowed", "this virtual key may not make child keys")
            if lasts_s is None:
                lasts_s = min(CHILD_S, rights.longest_s)
            if isinstance(lasts_s, bool) or not isinstance(lasts_s, int | float) or not 0 < lasts_s <= rights.longest_s:
                message = f"must be a number of seconds, at most {rights.longest_s:g}"
                raise KeyRejectedError("invalid_request", message, [KeyFault("expires_in_s", message)])
            now = time()
            valid = [
                one
                for one in await store.api_keys.children(parent)
                if one["expires_at"] is None or one["expires_at"] > now
            ]
            if len(valid) >= rights.at_most:
                message = f"this key has {len(valid)} valid children, which is the limit; wait until one expires"
                raise KeyRejectedError("rate_limited", message)
            order = MakeKeyOrder(
                name=f"{parent[:51]}.{secrets.token_hex(6)}",
                settings=msgspec.json.encode(fields),
                author=f"virtual_key:{parent}",
                parent=parent,
                expires_at=now + lasts_s,
            )
            return await self._make(store, order, Actor(order.author)), now + lasts_s

    async def set(self, order: SetKey, actor: Actor | None = None) -> KeyOutcome:
        """Change a key."""
        async with self._one_at_a_time:
            store = self._open()
            before = await self._get(store, order)
            row = {**before, "changed_at": time()}
            patch = msgspec.json.decode(order.settings)
            if patch:
                merged = {**json.loads(before["settings"]), **patch}
                settings = {name: value for name, value in merged.items() if value is not None}
                await self._policy(row, settings, before["parent"] or None)
                _require(order.scope, (row["name"], row["team"], row["customer"], row["parent"]))
            if order.expires_at is not None:
                row["expires_at"] = order.expires_at or None
                _check_expiry(row)
            if order.note is not None:
                row["note"] = order.note
            if order.is_enabled is not None:
                row["is_enabled"] = int(order.is_enabled)
            limited = [order.name] if row["settings"] != before["settings"] else []
            children = await store.api_keys.children(order.name)
            change = _KeyChange(
                changed=[row], before=[before, *children], limited=limited, action="change", name=order.name
            )
            return self._outcome(*await self._apply(change, actor or Actor(order.author)))

    async def rotate(self, order: RotateKey, actor: Actor | None = None) -> KeyOutcome:
        """Give a key a new value."""
        async with self._one_at_a_time:
            store = self._open()
            if (earlier := await _earlier(store, order.repeat)) is not None:
                return earlier
            before = await self._get(store, order)
            value, digest = await self._value(store, order.digest)
            now = time()
            row = {**before, "changed_at": now, "digest": digest, "hint": _hint(value)}
            row["previous_digest"] = before["digest"] if order.grace_s > 0 else ""
            row["previous_until"] = now + order.grace_s if order.grace_s > 0 else None
            children = await store.api_keys.children(order.name) if order.revokes else []
            gone = [one["name"] for one in children]
            change = _KeyChange(changed=[row], gone=gone, before=[before, *children], repeat=order.repeat)
            change.action, change.name = "rotate", order.name
            rows, waiting = await self._apply(change, actor or Actor(order.author))
            return self._outcome(rows, waiting, value)

    async def delete(self, order: DeleteKey, actor: Actor | None = None) -> KeyOutcome:
        """Revoke a key and its children."""
        async with self._one_at_a_time:
            store = self._open()
            before = await self._get(store, order)
            if users := await asyncio.to_thread(self._file.users_of, order.name):
                message = f"the key {order.name!r} is named by {', '.join(users)}; change that, or disable the key"
                raise KeyRejectedError("in_use", message)
            children = await store.api_keys.children(order.name)
            names = [order.name, *(one["name"] for one in children)]
            change = _KeyChange(gone=names, before=[before, *children], action="delete", name=order.name)
            _, waiting = await self._apply(change, actor or Actor(order.author))
            return self._outcome([before], waiting)

    # Steps of a change.

    async def _make(self, store: Store, order: MakeKeyOrder, actor: Actor) -> KeyOutcome:
        name = order.name
        if not _NAME.fullmatch(name):
            message = "must have 1 to 64 letters, digits, dots, dashes and underscores"
            raise KeyRejectedError("invalid_request", f"name: {message}", [KeyFault("name", message)])
        await self._check_name(store, name)
        now = time()
        row: Row = {"name": name, "parent": order.parent or "", "note": order.note, "expires_at": order.expires_at}
        await self._policy(row, msgspec.json.decode(order.settings), order.parent)
        _require(order.scope, (name, row["team"], row["customer"], row["parent"]))
        _check_expiry(row)
        value, digest = await self._value(store, order.digest)
        row |= {"digest": digest, "hint": _hint(value), "previous_digest": "", "previous_until": None, "is_enabled": 1}
        row |= {"created_at": now, "changed_at": now, "created_by": order.author}
        change = _KeyChange(new=[row], repeat=order.repeat, action="create", name=name)
        rows, waiting = await self._apply(change, actor)
        return self._outcome(rows, waiting, value)

    async def _policy(self, row: Row, settings: dict[str, Any], parent: str | None) -> None:
        """Check settings, and put them into a row."""
        text, problems = read_policy(settings)
        if parent is not None:
            problems += _problems_of_child(settings, self._usable(parent))
        policy, found = await asyncio.to_thread(self._file.compile, text)
        problems += found
        if problems:
            faults = [KeyFault(one.field, one.message) for one in problems]
            raise KeyRejectedError("invalid_request", "; ".join(map(str, problems)), faults)
        owned = policy if parent is None else self._usable(parent)
        row |= {"settings": text, "team": owned.team or "", "customer": owned.customer or ""}

    async def _apply(self, change: _KeyChange, actor: Actor = Actor()) -> tuple[list[Row], list[int]]:  # noqa: B008 -- it is frozen
        """Make a change. Return the written rows, and the epochs of workers that have not taken it yet."""
        store = self._open()
        async with self._audit.transaction(store, actor) as audited:
            rows = await store.api_keys.write(change.new, change.changed, change.gone, audited.connection)
            if change.repeat is not None:
                outcome = KeyOutcome(row=msgspec.json.encode(rows[0]), is_replayed=True)
                await keep_reply(audited.connection, change.repeat, msgspec.json.encode(outcome))
            if change.action:
                audited.record(_event(change, rows))
        try:
            await asyncio.to_thread(self._file.write, rows, change.gone)
        except KeysUnavailableError as error:
            self._fall_behind()
            message = f"the change is stored, but workers cannot see it yet, since {error}; control retries"
            raise KeyRejectedError("not_taken", message) from error
        digests = [bytes.fromhex(one) for row in (*change.before, *rows) for one in _digests(row)]
        self._drop(digests)
        return rows, await self._key_server.change(digests, change.limited, WORKERS_S)

    async def _check_name(self, store: Store, name: str) -> None:
        taken = await store.api_keys.get(name)
        where = f"a key that was made by API on {moment(taken['created_at'])}" if taken is not None else ""
        if taken is None and _find(self._table(), name) is not None:
            where = "a key of the configuration file or of its keys file"
        if where:
            message = f"{name!r} is already the name of {where}; choose another"
            raise KeyRejectedError("exists", message, [KeyFault("name", message)])

    async def _value(self, store: Store, digest: str | None) -> tuple[str | None, str]:
        """Return a new value with its digest, or the given digest. It must be that of no other key."""
        value = None if digest is not None else f"{PREFIX}{secrets.token_urlsafe(32)}"
        digest = digest if digest is not None else sha256((value or "").encode()).hexdigest()
        if await store.api_keys.taken(digest) is not None or self._table().get(bytes.fromhex(digest)) is not None:
            message = "is already that of another key; make another value"
            raise KeyRejectedError("exists", f"sha256: {message}", [KeyFault("sha256", message)])
        return value, digest

    async def _get(self, store: Store, order: SetKey | RotateKey | DeleteKey) -> Row:
        name, scope, version = order.name, order.scope, order.version
        holder = order.holder if not isinstance(order, SetKey) else ""
        row = await store.api_keys.get(name)
        is_seen = row is not None and is_in_scope(scope, (name, row["team"], row["customer"], row["parent"]))
        if row is None or not is_seen or (holder and row["created_by"] != holder):
            if row is None and scope is None and not holder and _find(self._table(), name) is not None:
                message = f"the key {name!r} is in the configuration file or its keys file; change it there"
                raise KeyRejectedError("managed_by_file", message)
            raise KeyRejectedError("not_found", f"there is no key {name!r} that was made by API")
        if version is not None and row["changed"] != version:
            raise KeyRejectedError("changed", f"the key {name!r} was changed meanwhile; read it again")
        return row

    def _usable(self, parent: str) -> VirtualKey:
        key = _find(self._table(), parent)
        if key is None:
            message = f"there is no key {parent!r}"
            raise KeyRejectedError("not_found", message, [KeyFault("parent", message)])
        if key.parent is not None:
            message = f"{parent!r} is a child of {key.parent!r}, and a child has no children"
            raise KeyRejectedError("invalid_request", message, [KeyFault("parent", message)])
        return key

    def _outcome(self, rows: Sequence[Row], waiting: Sequence[int], value: str | None = None) -> KeyOutcome:
        return KeyOutcome(row=msgspec.json.encode(rows[0]), value=value, waiting=list(waiting))

    def _open(self) -> Store:
        store = self._store()
        if store is None:
            raise StoreError("the store is not open yet")
        if self._is_behind:
            raise KeyRejectedError("not_ready", "the keys are being read from the store; retry in a moment")
        return store

    def _table(self) -> FileKeys:
        table = self._current().snapshot.virtual_keys
        if not isinstance(table, FileKeys):
            raise KeyRejectedError("not_ready", "this gateway started without a file of keys; restart it")
        return table

    def _drop(self, digests: Sequence[bytes] | None) -> None:
        table = self._current().snapshot.virtual_keys
        if isinstance(table, FileKeys):
            with suppress(KeysUnavailableError):
                table.drop(digests)

    # The file after a crash, or with another store.

    def _fall_behind(self) -> None:
        self._is_behind = True
        if self._is_closed:
            return
        if self._catching_up is None or self._catching_up.done():
            self._catching_up = asyncio.get_running_loop().create_task(self._catch_up())

    async def _catch_up(self) -> None:
        """Write the file as the store has the keys, until that succeeds."""
        told = ""
        while self._is_behind:
            try:
                async with self._one_at_a_time:
                    await self._compare()
            except (StoreError, KeysUnavailableError) as error:
                self._file.close()
                if str(error) != told:
                    told = str(error)
                    _logger.error("keys made by API cannot be brought up to date: %s", error)  # noqa: TRY400
                await asyncio.sleep(RETRY_S)

    async def _compare(self) -> None:
        store = self._store()
        if store is None:
            raise StoreError("the store is not open")
        stored = Extent(*await store.api_keys.extent(SUM))
        if await asyncio.to_thread(self._file.extent) != stored:
            rows = [row async for row in store.api_keys.every()]
            await asyncio.to_thread(self._file.replace, rows)
            self._drop(None)
            await self._key_server.change(None, (), WORKERS_S)
            _logger.info("wrote %d keys made by API for the workers", len(rows))
        else:
            await asyncio.to_thread(self._file.complete)
        self._is_behind = False


async def _earlier(store: Store, repeat: Repeat | None) -> KeyOutcome | None:
    """Return the outcome of an earlier call with the same idempotency key."""
    try:
        reply = await store.api_keys.reply(repeat)
    except KeyReusedError as error:
        raise KeyRejectedError("key_reused", str(error)) from None
    return msgspec.json.decode(reply, type=KeyOutcome) if reply is not None else None


def _event(change: _KeyChange, rows: Sequence[Row]) -> AuditEvent:
    """Return the event of a change, with the differences of all keys concerned."""
    before = {row["name"]: _audited(row) for row in change.before}
    after = {row["name"]: _audited(row) for row in rows}
    names = dict.fromkeys([*after, *change.gone])
    fields = [one for name in names for one in difference("key", name, before.get(name), after.get(name))]
    owned = next(row for row in (*rows, *change.before) if row["name"] == change.name)
    return AuditEvent(
        action=change.action,
        kind="key",
        name=change.name,
        team=owned["team"],
        customer=owned["customer"],
        changes=tuple(fields),
    )


def _audited(row: Row) -> Row:
    shown = {name: value for name, value in row.items() if name not in ("changed", "changed_at")}
    return {**shown, "settings": json.loads(row["settings"])}


def _find(table: FileKeys, name: str) -> VirtualKey | None:
    try:
        return table.named(name)
    except KeysUnavailableError as error:
        raise KeyRejectedError("not_ready", str(error)) from error


def _check_expiry(row: Row) -> None:
    expires_at = row["expires_at"]
    if expires_at is not None and expires_at <= time():
        message = "must be in the future; delete the key to revoke it"
        raise KeyRejectedError("invalid_request", f"expires_at: {message}", [KeyFault("expires_at", message)])


def _problems_of_child(settings: dict[str, Any], parent: VirtualKey) -> list[FieldProblem]:
    """Return the settings that a child cannot have. It has the rights of its parent, or fewer."""
    message = f"a child has that of its parent; set only {', '.join(sorted(_OF_CHILDREN))}"
    found = [FieldProblem(name, message) for name in settings if name not in _OF_CHILDREN]
    wanted = settings.get("allow_models")
    for number, model in enumerate(wanted if isinstance(wanted, list) else ()):
        allowed = parent.allow_models
        if not allowed or not isinstance(model, str) or model in allowed:
            continue
        if _WILD & set(model) or not any(fnmatchcase(model, pattern) for pattern in allowed):
            message = f"the parent may not request {model!r}; choose among {', '.join(allowed)}"
            found.append(FieldProblem(f"allow_models[{number}]", message))
    return found


def _digests(row: Row) -> list[str]:
    return [one for one in (row["digest"], row["previous_digest"]) if one]


def _hint(value: str | None) -> str:
    return value[:HINT] if value is not None else ""


def is_in_scope(scope: Scope | None, owners: Sequence[str | None]) -> bool:
    """Return whether a key is in the scope of a caller. `owners` are its name, team, customer and parent."""
    if scope is None:
        return True
    levels = ("virtual_key", "team", "customer", "virtual_key")
    return any(name in scope.get(level, ()) for level, name in zip(levels, owners, strict=False) if name)


def _require(scope: Scope | None, owners: Sequence[str | None]) -> None:
    """Reject a change that would put a key outside the scope of its caller."""
    if not is_in_scope(scope, owners):
        raise KeyRejectedError("forbidden", "you may make and change keys of your own teams and customers only")
