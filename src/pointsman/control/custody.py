"""Control's knowledge of who owns what providers keep: the store's, and what workers told before it was stored."""

import asyncio
from collections.abc import Sequence

from msgspec import Struct

from pointsman.control.ingest import Ingest
from pointsman.control.store.database import StoreError
from pointsman.domain.leases import Unable
from pointsman.domain.state import SEEN, Change, Record, after

MAX_FRESH = 100_000  # ids whose last change may not be in the store yet
READ_S = 0.7  # how long a worker that asks may wait for the journals to be read once
_UNREAD = Unable("the journals are not read yet")


class _Fresh(Struct):
    """What was told of one thing at one provider. With `is_sure` it holds whatever the store says."""

    record: Record | None
    is_sure: bool


class Custody:
    """Answers workers. A change that was told is remembered until very many others were: by then the store has it."""

    def __init__(self, ingest: Ingest) -> None:
        self._ingest = ingest
        self._fresh: dict[str, dict[str, _Fresh]] = {}  # by id, then by provider

    def told(self, changes: Sequence[Change]) -> None:
        """A worker has learned of these."""
        fresh = self._fresh
        for change in changes:
            record = change.record
            places = fresh.pop(record.id, {})
            known = places.get(record.provider)
            is_sure = change.how != SEEN or (known is not None and known.is_sure)
            places[record.provider] = _Fresh(after(known.record if known is not None else None, change), is_sure)
            fresh[record.id] = places  # at the end: the first are forgotten first
            if len(fresh) > MAX_FRESH:
                del fresh[next(iter(fresh))]

    async def look_up(self, ids: Sequence[str]) -> list[Record] | Unable:
        """All that is known of these. What somebody told before this was asked is in the answer: while the store is
        asked, the lines of all workers are read."""
        stored = await self._stored(ids)
        fresh = {name: self._fresh.get(name, {}) for name in ids}
        if isinstance(stored, Unable):
            if not all(places and all(one.is_sure for one in places.values()) for places in fresh.values()):
                return stored
            stored = []
        found = {(one.id, one.provider): one for one in stored}
        for name, places in fresh.items():
            for provider, one in places.items():
                known = found.pop((name, provider), None)
                record = one.record
                if not one.is_sure and record is not None:
                    record = after(known, Change(SEEN, record))
                if record is not None:
                    found[name, provider] = record
        return list(found.values())

    async def _stored(self, ids: Sequence[str]) -> list[Record] | Unable:
        """What the store knows, once the journals were read since the start."""
        ingest = self._ingest
        try:
            async with asyncio.timeout(READ_S):
                await ingest.has_read.wait()
            return await ingest.store.state(ids) if ingest.store is not None else _UNREAD
        except TimeoutError:
            return Unable(ingest.state.problem) if ingest.state.problem is not None else _UNREAD
        except StoreError as error:
            return Unable(f"the store cannot be read: {error}")
