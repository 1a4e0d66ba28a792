"""The orders of operators: kept in the store, and sent to all workers."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from time import time

from msgspec.structs import asdict

from pointsman.control.audit_log import AuditedCall
from pointsman.control.store.database import StoreError
from pointsman.control.store.store import Store
from pointsman.domain.audit import AuditEvent, difference
from pointsman.domain.holds import Hold, owner_in

MAX_HOLDS = 1000

_logger = logging.getLogger(__name__)


class HoldBook:
    """All orders that are in force. They are unknown until the store was read; until then workers keep those that they
    have. `store` returns the store, or `None` while it is not open. `send` sends all orders to all workers."""

    def __init__(self, store: Callable[[], Store | None], send: Callable[[Sequence[Hold]], None]) -> None:
        self._store = store
        self._send = send
        self._holds: dict[str, Hold] | None = None
        self._one_at_a_time = asyncio.Lock()

    def present(self) -> list[Hold] | None:
        """Return the orders in force, or `None` if they are unknown."""
        if self._holds is None:
            return None
        now = time()
        return [one for one in self._holds.values() if not one.is_over(now)]

    async def load(self, store: Store) -> None:
        """Read the orders. Raises `StoreError`."""
        async with self._one_at_a_time:
            self._holds = {one.name: one for one in await store.holds(time())}
            self._send(self.present() or [])

    async def place(self, hold: Hold, call: AuditedCall) -> bool:
        """Put an order in force, instead of an earlier one about the same name. Return `False` if there are
        `MAX_HOLDS` others already. Raises `StoreError`."""
        async with self._one_at_a_time:
            store, holds = self._open()
            if hold.name not in holds and len(holds) >= MAX_HOLDS:
                return False
            async with call.transaction(store) as change:
                await store.place_hold(change.connection, hold)
                change.record(_event("hold", hold.name, holds.get(hold.name), hold))
            holds[hold.name] = hold
            _logger.warning("%s", hold.describe())
            self._send(self.present() or [])
            return True

    async def release(self, name: str, call: AuditedCall) -> bool:
        """End an order. Return whether there was one. Raises `StoreError`."""
        async with self._one_at_a_time:
            store, holds = self._open()
            if name not in holds:
                return False
            async with call.transaction(store) as change:
                await store.release_hold(change.connection, name)
                change.record(_event("release", name, holds[name], None))
            found = holds.pop(name, None)
            if found is not None:
                _logger.warning("an operator released %s", name)
                self._send(self.present() or [])
            return found is not None

    def _open(self) -> tuple[Store, dict[str, Hold]]:
        store, present = self._store(), self.present()
        if store is None or present is None:
            raise StoreError("the store is not open yet")
        self._holds = {one.name: one for one in present}  # without those that are over
        return store, self._holds


def _event(action: str, name: str, before: Hold | None, after: Hold | None) -> AuditEvent:
    states = [asdict(one) if one is not None else None for one in (before, after)]
    level, _, owner = (owner_in(name) or "").partition(":")
    owners = {level: owner} if level in ("team", "customer") else {}
    return AuditEvent(action=action, kind="hold", name=name, changes=difference("hold", name, *states), **owners)
