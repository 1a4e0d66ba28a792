"""Deletes old requests, and gives their space back, beside ingestion.

Each step is one transaction of about `STEP_S`, and the pause after it is at least as long. Ingestion waits for a step
in SQLite, so it is never late by more than that.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from time import monotonic, time

from pointsman.control.ingest import Ingest
from pointsman.control.store.database import StoreError
from pointsman.control.store.store import Store

PERIOD_S = 60.0
STEP_S = 0.1
FEWEST, FIRST, MOST = 50, 500, 5000  # rows of one step
SPARE_PAGES = 1024  # free pages that an SQLite file keeps for the next requests
PAGES = 64  # of one step: one MiB

_logger = logging.getLogger(__name__)


class Retention:
    """Deletes requests that are older than `requests_s`, and the oldest ones while all take more than `requests_bytes`.
    Sums by minute stay for `minutes_s`, and unused objects of providers for `state_s`. Also settles attempts whose
    windows have ended, and calls `prune_keys`."""

    def __init__(
        self,
        ingest: Ingest,
        *,
        requests_s: float,
        requests_bytes: int | None,
        minutes_s: float,
        state_s: Callable[[], float],
        prune_keys: Callable[[], Awaitable[object]],
    ) -> None:
        self._ingest = ingest
        self._requests_s = requests_s
        self._requests_bytes = requests_bytes
        self._minutes_s = minutes_s
        self._state_s = state_s
        self._prune_keys = prune_keys
        self._at_once = FIRST
        self._is_reported = False

    async def run(self) -> None:
        """Delete once a minute, until it is cancelled."""
        while True:
            await asyncio.sleep(PERIOD_S)
            store = self._ingest.store
            if store is None:
                continue
            try:
                await self.once(store)
            except StoreError as error:
                _logger.warning(
                    "the store could not delete old requests and settle open attempts; retrying in %g s: %s",
                    PERIOD_S,
                    error,
                )

    async def once(self, store: Store) -> None:
        """Delete all that is due now. Raises `StoreError`."""
        await self._ingest.lapse()
        await self._prune_keys()
        now = time()
        oldest = now - self._requests_s
        if self._requests_bytes is not None:
            oldest = max(oldest, await store.upkeep.oldest_within(self._requests_bytes))
        await self._in_steps(lambda count: store.prune(oldest, count))
        await self._in_steps(lambda count: store.upkeep.prune_minutes(now - self._minutes_s, count))
        await self._in_steps(lambda count: store.prune_state(now - self._state_s(), count))
        await self._shrink(store)

    async def _in_steps(self, step: Callable[[int], Awaitable[int]]) -> None:
        """Repeat a step until it deletes nothing. Each deletes as many rows as fit into `STEP_S`."""
        while True:
            began_at = monotonic()
            count = await step(self._at_once)
            took_s = monotonic() - began_at
            if not count:
                return
            factor = min(2.0, STEP_S / max(took_s, 0.001))
            if factor < 1 or count >= self._at_once:
                self._at_once = min(MOST, max(FEWEST, int(self._at_once * factor)))
            await asyncio.sleep(max(took_s, 0.02))

    async def _shrink(self, store: Store) -> None:
        space = await store.upkeep.space()
        if space.free_pages > SPARE_PAGES and not space.can_shrink and not self._is_reported:
            self._is_reported = True
            _logger.warning(
                "an older version made the file of the store, so it does not shrink: %.0f MB of its %.0f MB are free "
                "for new requests. To give them back, stop the gateway, and run: "
                "sqlite3 pointsman.db 'PRAGMA auto_vacuum=INCREMENTAL; VACUUM'",
                space.free / 1e6,
                space.size / 1e6,
            )
        while space.can_shrink and space.free_pages > SPARE_PAGES:
            began_at = monotonic()
            await store.upkeep.shrink(PAGES)
            await asyncio.sleep(max(monotonic() - began_at, 0.02))
            space = await store.upkeep.space()
