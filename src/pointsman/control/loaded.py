"""Records in the audit log which configuration is in force, however it came there.

A file can change while the store is away, or control can be killed between a change and its record. So the digest in
force is also compared with the newest one in the log whenever the store is opened.
"""

import asyncio
import logging
from collections.abc import Callable

from pointsman.config.load import load
from pointsman.config.snapshot_file import Compiled
from pointsman.control.audit_log import AuditLog
from pointsman.control.store.database import StoreError
from pointsman.control.store.store import Store
from pointsman.domain.audit import AuditEvent, ChangedField, difference

_logger = logging.getLogger(__name__)


class LoadedConfigurations:
    """Records configurations that were loaded from the file. `current` is the one in force."""

    def __init__(self, audit: AuditLog, store: Callable[[], Store | None], current: Callable[[], Compiled]) -> None:
        self._audit = audit
        self._store = store
        self._current = current

    async def opened(self, store: Store) -> None:
        """Check the log of a store that was opened, and record the configuration in force. Raises `StoreError`."""
        await self._audit.check(store)
        await self._note(store, self._current(), ())

    async def loaded(self, before: Compiled, after: Compiled) -> None:
        """Record another configuration. Without the store, that follows when it is opened."""
        store = self._store()
        if store is None:
            return
        try:
            await self._note(store, after, await asyncio.to_thread(_changes, before, after))
        except StoreError as error:
            _logger.warning("the audit log will have the loaded configuration later: %s", error)

    async def _note(self, store: Store, compiled: Compiled, changes: tuple[ChangedField, ...]) -> None:
        digest = compiled.snapshot.digest
        event = AuditEvent(action="load", kind="configuration", changes=changes, configuration=digest)
        await self._audit.note_configuration(store, digest, event)


def _changes(before: Compiled, after: Compiled) -> tuple[ChangedField, ...]:
    documents = [load(one.content).source.data for one in (before, after)]
    return difference("configuration", "file", *documents)
