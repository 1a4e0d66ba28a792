"""Reads the files of bodies that workers write into the store, and deletes old bodies.

A file is deleted once the store has its content. While the store is away, files wait, and workers stop to write more at
a bound.
"""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from time import monotonic, time

import msgspec

from pointsman.control.store.bodies import add_bodies, prune_bodies
from pointsman.control.store.database import StoreError
from pointsman.control.store.store import Store
from pointsman.control.store.tables import Row
from pointsman.domain.bodies import FOLDER, KEEP_DAYS, KeptBodies

POLL_S = 0.5
PRUNE_S = 60.0
AT_ONCE = 64  # bodies in a transaction
ORPHAN_S = 60.0  # after which a file that is not complete is that of a dead worker

_DECODER = msgspec.json.Decoder(KeptBodies)
_logger = logging.getLogger("pointsman")


class BodyReader:
    """Reads the files in the folder of bodies in `data_dir`. `store` returns the store once it is open, and `keep_days`
    the time that bodies are kept, in days."""

    def __init__(
        self, data_dir: Path, store: Callable[[], Store | None], keep_days: Callable[[], float] = lambda: KEEP_DAYS
    ) -> None:
        self._folder = data_dir / FOLDER
        self._store = store
        self._keep_days = keep_days
        self._prune_at = 0.0
        self._problem = ""

    async def run(self) -> None:
        """Read until it is cancelled."""
        while True:
            store = self._store()
            try:
                if store is not None:
                    await self._read_all(store)
                    await self._prune(store)
                    self._problem = ""
            except (StoreError, OSError) as error:
                if not self._problem:
                    _logger.warning("the files of %s cannot be read into the store; retrying: %s", self._folder, error)
                self._problem = str(error)
            await asyncio.sleep(POLL_S)

    async def _read_all(self, store: Store) -> None:
        for path in await asyncio.to_thread(self._complete):
            rows = await asyncio.to_thread(_rows_of, path)
            for start in range(0, len(rows), AT_ONCE):
                await add_bodies(store, rows[start : start + AT_ONCE])
            path.unlink()

    async def _prune(self, store: Store) -> None:
        """Delete old bodies, a few at a time."""
        if monotonic() < self._prune_at:
            return
        while await prune_bodies(store, time() - self._keep_days() * 86_400):  # noqa: ASYNC110 -- a pause between batches
            await asyncio.sleep(0.1)
        self._prune_at = monotonic() + PRUNE_S

    def _complete(self) -> list[Path]:
        """Return the files that no worker writes any more, the oldest first."""
        if not self._folder.is_dir():
            return []
        old = [one for one in self._folder.glob("*.part") if one.stat().st_mtime < time() - ORPHAN_S]
        return sorted([*self._folder.glob("*.jsonl"), *old])


def _rows_of(path: Path) -> list[Row]:
    """Return the rows of a file. A line that a dead worker did not complete is left out."""
    rows: list[Row] = []
    for line in path.read_bytes().splitlines():
        try:
            rows.append({"request_id": _DECODER.decode(line).request_id, "bodies": line})
        except msgspec.DecodeError:
            continue
    return rows
