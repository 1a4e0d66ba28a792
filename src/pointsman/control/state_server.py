"""Control's knowledge of the owners of stored objects: from the store, and from workers before the store has it."""

import asyncio
from collections.abc import Sequence

from msgspec import Struct

from pointsman.control.ingest import Ingest
from pointsman.control.store.database import StoreError
from pointsman.domain.leases import LeaseUnavailable
from pointsman.domain.state import SEEN, Change, Record, after

MAX_FRESH = 100_000  # ids whose last change may not be in the store yet
READ_S = 0.7  # longest time that a worker's question waits for the first complete read of the journals
_UNREAD = LeaseUnavailable("the journals have not been read yet")


class _Fresh(Struct):
    """The latest change of one object at one provider. If `is_sure`, it outranks the store."""

    record: Record | None
    is_sure: bool


class StateServer:
    """Answers workers. A change is remembered until `MAX_FRESH` later ones have arrived: by then the store has it."""

    def __init__(self, ingest: Ingest) -> None:
        self._ingest = ingest
        self._fresh: dict[str, dict[str, _Fresh]] = {}  # by id, then by provider

    def note(self, changes: Sequence[Change]) -> None:
        """Note changes that a worker reported."""
        fresh = self._fresh
        for change in changes:
            record = change.record
            places = fresh.pop(record.id, {})
            known = places.get(record.provider)
            is_sure = change.how != SEEN or (known is not None and known.is_sure)
            places[record.provider] = _Fresh(after(known.record if known is not None else None, change), is_sure)
            fresh[record.id] = places  # at the end: the oldest are dropped first
            if len(fresh) > MAX_FRESH:
                del fresh[next(iter(fresh))]

    async def look_up(self, ids: Sequence[str]) -> list[Record] | LeaseUnavailable:
        """Return all known records of these ids. Changes reported before the question are included, because the
        connections of all workers are read during the query of the store."""
        stored = await self._stored(ids)
        fresh = {name: self._fresh.get(name, {}) for name in ids}
        if isinstance(stored, LeaseUnavailable):
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

    async def _stored(self, ids: Sequence[str]) -> list[Record] | LeaseUnavailable:
        """Return the records in the store, once the journals have been read since the start."""
        ingest = self._ingest
        try:
            async with asyncio.timeout(READ_S):
                await ingest.has_read.wait()
            return await ingest.store.state(ids) if ingest.store is not None else _UNREAD
        except TimeoutError:
            return LeaseUnavailable(ingest.state.problem) if ingest.state.problem is not None else _UNREAD
        except StoreError as error:
            return LeaseUnavailable(f"the store cannot be read: {error}")
