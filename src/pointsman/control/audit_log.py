"""Writes the audit log: each record in the transaction of its change, and the anchor around that."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from time import time
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy.ext.asyncio import AsyncConnection

from pointsman.control.anchor import AnchorError, AnchorFile, AnchorState, fault_at_the_end
from pointsman.control.store.audit_table import add_records, chain_end, last_configuration
from pointsman.control.store.database import StoreError
from pointsman.control.store.store import Store
from pointsman.domain.audit import Actor, AuditEvent, ChainEnd, chained

if TYPE_CHECKING:
    from pointsman.telemetry.masking import Masker

_logger = logging.getLogger(__name__)


class AuditedChange:
    """A transaction that is open. Its events are written before its commit. `actor` makes the change."""

    def __init__(self, connection: AsyncConnection, actor: Actor) -> None:
        self.connection = connection
        self.actor = actor
        self.events: list[AuditEvent] = []

    def record(self, event: AuditEvent) -> None:
        """Have an event written."""
        self.events.append(event)


class AuditLog:
    """The end of the chain. `anchor` returns the present file of the anchor. One transaction writes at a time."""

    def __init__(self, anchor: Callable[[], AnchorFile]) -> None:
        self._anchor = anchor
        self._one_at_a_time = asyncio.Lock()
        self._masker: Masker | None = None

    @asynccontextmanager
    async def transaction(self, store: Store | None, actor: Actor) -> AsyncIterator[AuditedChange]:
        """Begin a transaction of a change. Raises `StoreError`: without its record, a change is not made."""
        async with self._one_at_a_time:
            settled: AnchorState | None = None
            async with _open(store).transaction(is_durable=True) as connection:
                change = AuditedChange(connection, actor)
                yield change
                if change.events:
                    settled = await self._append(connection, change.actor, change.events)
            if settled is not None:
                # The change is made. If this fails, `next` still has its end.
                await self._write(settled, is_needed=False)

    async def record(self, store: Store | None, actor: Actor, event: AuditEvent) -> None:
        """Write an event that changes nothing in the store. Raises `StoreError`."""
        async with self.transaction(store, actor) as change:
            change.record(event)

    async def check(self, store: Store | None) -> str:
        """Compare the end of the chain with the anchor, and keep a fault. Return it. Raises `StoreError`."""
        async with self._one_at_a_time, _open(store).transaction() as connection:
            end = await chain_end(connection)
            state = await self._state(end)
            if state.fault or state.next is not None or end.number:
                await self._write(AnchorState(settled=end, fault=state.fault), is_needed=False)
            return state.fault

    async def accept(self, store: Store | None, actor: Actor) -> str:
        """Take the chain as it is for the truth, and record that. Return the fault that there was."""
        async with self._one_at_a_time:
            async with _open(store).transaction(is_durable=True) as connection:
                end = await chain_end(connection)
                fault = (await self._state(end)).fault
                event = AuditEvent(action="accept", kind="audit", note=fault)
                await self._write(AnchorState(settled=end), is_needed=True)
                settled = await self._append(connection, actor, [event])
            await self._write(settled, is_needed=False)
        return fault

    async def note_configuration(self, store: Store | None, digest: str, event: AuditEvent) -> None:
        """Record that another configuration is in force, unless the log says so already. Raises `StoreError`."""
        async with self.transaction(store, Actor()) as change:
            if await last_configuration(change.connection) != digest:
                change.record(event)

    async def _append(self, connection: AsyncConnection, actor: Actor, events: list[AuditEvent]) -> AnchorState:
        end = await chain_end(connection)
        state = await self._state(end)
        records = list(chained(end, time(), actor, map(self._without_keys, events)))
        await add_records(connection, records)
        last = ChainEnd(records[-1].number, records[-1].hash)
        await self._write(AnchorState(settled=end, next=last, fault=state.fault), is_needed=True)
        return AnchorState(settled=last, fault=state.fault)

    def _without_keys(self, event: AuditEvent) -> AuditEvent:
        """Return an event without keys of known forms in its texts, which people write."""
        if self._masker is None:
            from pointsman.telemetry.masking import Masker  # noqa: PLC0415 -- it takes memory, as it says

            self._masker = Masker(("keys",))
        mask = self._masker.value
        changes = tuple(replace(one, before=mask(one.before), after=mask(one.after)) for one in event.changes)
        return replace(event, note=mask(event.note), changes=changes)

    async def _state(self, end: ChainEnd) -> AnchorState:
        """Return the anchor, with the fault of a chain that ends like this."""
        state: AnchorState | None
        try:
            state = await asyncio.to_thread(self._anchor().read)
        except AnchorError as error:
            state = AnchorState(fault=str(error))
        fault = fault_at_the_end(state, end)
        if fault:
            _logger.error("the audit log was changed: %s; see `pointsman audit verify`", fault)
        state = state or AnchorState(settled=end)
        return AnchorState(settled=state.settled, next=state.next, fault=fault)

    async def _write(self, state: AnchorState, *, is_needed: bool) -> None:
        try:
            await asyncio.to_thread(self._anchor().write, state)
        except AnchorError as error:
            if is_needed:
                raise StoreError(f"the audit log cannot be anchored: {error}") from None
            _logger.error("the audit log cannot be anchored: %s", error)  # noqa: TRY400


class AuditedCall(Struct, frozen=True):
    """A call that changes something. `actor` makes it."""

    log: AuditLog
    actor: Actor = Actor()

    def transaction(self, store: Store | None) -> AbstractAsyncContextManager[AuditedChange]:
        """Begin the transaction of the call. Raises `StoreError`."""
        return self.log.transaction(store, self.actor)

    async def record(self, store: Store | None, event: AuditEvent) -> None:
        """Write an event that changes nothing in the store. Raises `StoreError`."""
        await self.log.record(store, self.actor, event)


def _open(store: Store | None) -> Store:
    if store is None:
        raise StoreError("the store is not open yet")
    return store
