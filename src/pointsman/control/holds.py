"""The orders of operators: kept in the store, and sent to all workers."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from time import time

from pointsman.control.store.database import StoreError
from pointsman.control.store.store import Store
from pointsman.domain.holds import Hold

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

    async def place(self, hold: Hold) -> bool:
        """Put an order in force, instead of an earlier one about the same name. Return `False` if there are
        `MAX_HOLDS` others already. Raises `StoreError`."""
        async with self._one_at_a_time:
            store, holds = self._open()
            if hold.name not in holds and len(holds) >= MAX_HOLDS:
                return False
            await store.place_hold(hold)
            holds[hold.name] = hold
            _logger.warning("%s", hold.describe())
            self._send(self.present() or [])
            return True

    async def release(self, name: str) -> bool:
        """End an order. Return whether there was one. Raises `StoreError`."""
        async with self._one_at_a_time:
            store, holds = self._open()
            await store.release_hold(name)
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
