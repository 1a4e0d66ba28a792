"""Changes of the resources that are made by API.

A change is compiled with all else, then committed to the store with its version, then put in force. If control dies
after the commit, the next control process reads the store and puts the change in force. Before it, nothing has changed.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from time import time

from msgspec import json
from msgspec.structs import replace

from pointsman.config.given_specs import faults_of, sealed_spec
from pointsman.config.resource import Resource, Spec
from pointsman.config.resource_kinds import KINDS
from pointsman.config.resources import API, FILE, Listed, listed, sort_key
from pointsman.config.sealing import SealError
from pointsman.config.snapshot_file import Compiled
from pointsman.control.audit_log import AuditLog
from pointsman.control.configuration import Configuration, KeyConflictError
from pointsman.control.events import Notify
from pointsman.control.inquiries.resources import (
    EditCode,
    EditedResource,
    EditOutcome,
    FaultyField,
    ResourceState,
)
from pointsman.control.resource_events import ChangeIntent, explained, joined, unchanged_event, version_event
from pointsman.control.store.database import StoreError
from pointsman.control.store.replies import KeyReusedError, earlier_reply, keep_reply
from pointsman.control.store.resources import (
    ConfigVersion,
    ResourceChange,
    read_resources,
    write_version,
)
from pointsman.control.store.store import Store

DISTRIBUTE_S = 2.0  # the longest wait for workers; then the caller learns which have not taken a change

_logger = logging.getLogger(__name__)
Key = tuple[str, str]  # kind and name of a resource


class EditError(Exception):
    """An edit that is not possible. Nothing was changed."""

    def __init__(self, code: EditCode, message: str, faults: Sequence[FaultyField] = ()) -> None:
        super().__init__(message)
        self.outcome = EditOutcome(code=code, problem=message, faults=list(faults))


class ResourceBook:
    """The resources in the store. `store` returns the store, or `None` while it is not open. `slots` returns the
    slots of workers with these epochs. `notify` publishes an event."""

    def __init__(
        self,
        configuration: Configuration,
        audit: AuditLog,
        store: Callable[[], Store | None],
        slots: Callable[[Iterable[int]], list[int]],
        notify: Notify = lambda *_: None,
    ) -> None:
        self.configuration = configuration
        self.audit = audit
        self._store = store
        self._slots = slots
        self._notify = notify
        self._number: int | None = None  # of the newest version, once the store has been read

    @property
    def number(self) -> int:
        """The number of the newest version. Raises `StoreError` until the store has been read."""
        if self._number is None:
            raise StoreError("the store is not open yet")
        return self._number

    @property
    def present(self) -> tuple[Resource, ...]:
        """The resources in force."""
        return self.configuration.current.resources

    async def load(self, store: Store) -> None:
        """Read the resources of a store, and put them in force if they are others. Raises `StoreError`."""
        async with self.configuration.changing():
            async with store.transaction() as connection:
                number, found = await read_resources(connection)
            stored = tuple(sorted(found, key=sort_key))
            self._number = number
            if stored == self.present:
                return
            checked = await self.configuration.compile_with(stored)
            if checked.compiled is None:
                messages = [str(problem) for problem in checked.problems if problem.severity == "error"]
                self.configuration.reject_resources(messages)
                return
            try:
                await self.configuration.put_in_force(checked.compiled, 0.0)
            except OSError as error:
                self.configuration.reject_resources([f"cannot write the configuration: {error.strerror}"])

    async def change(
        self, plan: Callable[[], Awaitable[dict[Key, Spec]]], intent: ChangeIntent, asked: Sequence[Key] = ()
    ) -> EditOutcome:
        """Make the resources be those that `plan` returns, all or none. The outcome has the states of those `asked`."""
        try:
            async with self.configuration.changing():
                self.open_store()  # until it has been read, the present resources may be outdated
                if (earlier := await self._earlier(intent)) is not None:
                    return earlier
                return await self._become(await plan(), intent, asked)
        except EditError as error:
            return error.outcome
        except StoreError as error:
            return EditOutcome(code="store_unavailable", problem=str(error))

    async def states(self, kind: str) -> list[ResourceState]:
        """Return the resources of a kind, sorted by name."""
        document, own = await self.configuration.document(), KINDS[kind]
        return [
            ResourceState(kind=kind, name=one.name, owner=FILE, spec=own.full(one.name, one.spec), line=one.line)
            if one.made is None
            else _state(one.made)
            for one in listed(document.source, own, self.present)
        ]

    async def of_file(self, kind: str) -> dict[str, Listed]:
        """Return the resources of a kind in the configuration file, by name."""
        document = await self.configuration.document()
        return {one.name: one for one in listed(document.source, KINDS[kind], ())}

    async def _become(self, wanted: dict[Key, Spec], intent: ChangeIntent, asked: Sequence[Key]) -> EditOutcome:
        number, now = self.number, time()
        before = {(one.kind, one.name): one for one in self.present}
        notes: list[str] = []
        wanted = self._sealed(wanted, before, asked, notes)
        made: dict[Key, Resource] = {}
        changes: list[ResourceChange] = []
        for key in sorted({*wanted, *before}, key=_order):
            old, kept = before.get(key), wanted.get(key, _GONE)
            if old is not None and old.spec == kept:
                continue
            kind, name = key
            spec = None if kept is _GONE else kept
            changes.append(
                ResourceChange(kind=kind, name=name, before=old.spec if old is not None else None, after=spec)
            )
            if kept is not _GONE:
                created_at = old.created_at if old is not None else now
                made[key] = Resource(
                    kind=kind,
                    name=name,
                    spec=spec,
                    version=number + 1,
                    created_at=created_at,
                    updated_at=now,
                    author=intent.author,
                )
        every = {**{key: one for key, one in before.items() if key in wanted}, **made}
        if not changes:
            if faults := await asyncio.to_thread(intent.check, self.configuration.current):
                raise EditError("invalid_resource", joined(faults), faults)
            if not intent.is_dry_run:
                await self.audit.record(self.open_store(), intent.actor, unchanged_event(intent, asked))
            return self._outcome(number, [], every, asked, notes)
        checked = await self.configuration.compile_with(sorted(every.values(), key=sort_key))
        if checked.compiled is None:
            raise EditError("invalid_resource", *explained(checked.problems, asked))
        if faults := await asyncio.to_thread(intent.check, checked.compiled):
            raise EditError("invalid_resource", joined(faults), faults)
        if intent.is_dry_run:
            if conflicts := await self.configuration.problems_of_keys(checked.compiled):
                raise EditError("invalid_resource", "; ".join(conflicts))
            return self._outcome(number, changes, every, asked, notes)
        version = ConfigVersion(
            number=number + 1,
            at=now,
            author=intent.author,
            note=intent.note,
            digest=checked.compiled.snapshot.digest,
            changes=changes,
        )
        outcome = self._outcome(version.number, changes, every, asked, notes, digest=version.digest)
        commit = partial(self._commit, version, made.values(), intent, outcome)
        return await self._distribute(checked.compiled, outcome, commit)

    async def _commit(
        self, version: ConfigVersion, made: Iterable[Resource], intent: ChangeIntent, outcome: EditOutcome
    ) -> None:
        async with self.audit.transaction(self.open_store(), intent.actor) as change:
            await write_version(change.connection, version, made)
            await keep_reply(change.connection, intent.repeat, json.encode(outcome))
            change.record(version_event(version, intent))
        self._number = version.number

    async def _distribute(
        self, compiled: Compiled, outcome: EditOutcome, commit: Callable[[], Awaitable[None]]
    ) -> EditOutcome:
        try:
            outdated = await self.configuration.put_in_force(compiled, DISTRIBUTE_S, commit)
        except KeyConflictError as error:
            raise EditError("invalid_resource", str(error)) from None
        except OSError as error:
            # The change is in the store. The next control process, or the next change, puts it in force.
            message = f"the change is stored, but not in force: the snapshot cannot be written: {error.strerror}"
            _logger.error("%s", message)  # noqa: TRY400
            return replace(outcome, code="not_written", problem=message)
        changes = [{"kind": one.kind, "name": one.name, "action": _action(one)} for one in outcome.changes]
        self._notify("resources", {"version": outcome.number, "changes": changes})
        return replace(outcome, waiting=self._slots(outdated))

    def _sealed(
        self, wanted: dict[Key, Spec], before: Mapping[Key, Resource], asked: Sequence[Key], notes: list[str]
    ) -> dict[Key, Spec]:
        """Return the contents in their full form, with sealed secrets."""
        keys = self.configuration.master_keys()
        found: dict[Key, Spec] = {}
        faults: list[FaultyField] = []
        try:
            had_key = bool(keys.first)
        except SealError as error:
            raise EditError("invalid_resource", str(error)) from None
        for (kind, name), spec in wanted.items():
            old = before.get((kind, name))
            if old is not None and old.spec is spec:
                found[kind, name] = spec
                continue
            full = KINDS[kind].full(name, spec)
            wrong = faults_of(kind, name, full)
            sealed, unsealed = sealed_spec(kind, name, full, keys, old.spec if old is not None else None)
            found[kind, name] = sealed
            label = f"{kind} {name}" if [(kind, name)] != list(asked) else ""
            faults += [FaultyField(fault.field, fault.message, label) for fault in (*wrong, *unsealed)]
        if faults:
            raise EditError("invalid_resource", joined(faults), faults)
        if not had_key and keys.is_own and keys.first:
            notes.append(
                f"a master key was made in {keys.path}; whoever copies that folder can read the secrets. Keep the key "
                "elsewhere: see the setting master_key"
            )
            _logger.warning("%s", notes[-1])
        return found

    async def _earlier(self, intent: ChangeIntent) -> EditOutcome | None:
        """Return the outcome of an earlier call with the same idempotency key."""
        if intent.repeat is None or intent.is_dry_run:
            return None
        try:
            async with self.open_store().transaction() as connection:
                reply = await earlier_reply(connection, intent.repeat)
        except KeyReusedError as error:
            raise EditError("key_reused", str(error)) from None
        return json.decode(reply, type=EditOutcome) if reply is not None else None

    def _outcome(
        self,
        number: int,
        changes: Sequence[ResourceChange],
        every: Mapping[Key, Resource],
        asked: Sequence[Key],
        notes: list[str],
        *,
        digest: str = "",
    ) -> EditOutcome:
        return EditOutcome(
            number=number,
            digest=digest or self.configuration.digest,
            changes=[
                EditedResource(kind=one.kind, name=one.name, before=one.before, after=one.after) for one in changes
            ],
            states=[_state(every[key]) for key in asked if key in every],
            notes=notes,
        )

    def open_store(self) -> Store:
        """Return the store. Raises `StoreError` while it is not open."""
        store = self._store()
        if store is None or self._number is None:
            raise StoreError("the store is not open yet")
        return store


_GONE: Spec = object()


def _state(one: Resource) -> ResourceState:
    return ResourceState(
        kind=one.kind,
        name=one.name,
        owner=API,
        spec=one.spec,
        version=one.version,
        created_at=one.created_at,
        updated_at=one.updated_at,
        author=one.author,
    )


def _action(one: EditedResource) -> str:
    return "created" if one.before is None else "deleted" if one.after is None else "changed"


def _order(key: Key) -> tuple[int, str]:
    return list(KINDS).index(key[0]), key[1]
