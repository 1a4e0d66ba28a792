"""Deletes old requests in steps that take a fraction of a second each. Sums and open reservations stay."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from msgspec import Struct
from sqlalchemy import bindparam, delete, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from pointsman.control.store.batches import BatchTable
from pointsman.control.store.database import STORE_FAILURES, StoreError, describe
from pointsman.control.store.reconcile import LAPSED, RECONCILED
from pointsman.control.store.reports import first_id
from pointsman.control.store.request_log import minute_of
from pointsman.control.store.tables import (
    FEEDBACK,
    MINUTE_S,
    REQUEST_MINUTES,
    REQUEST_SIZES,
    REQUEST_TAGS,
    REQUESTS,
    SESSION_AGENTS,
    SESSIONS,
    UNSETTLED,
)

_INCREMENTAL = 2  # SQLite's `auto_vacuum`
ROW_BYTES = 900  # of a request beside its record, mostly in indexes; measured by bench.request_log


class Space(Struct, frozen=True):
    """The size of a store's file, and the free part of it, in bytes. `free_pages` is that part in pages. The file gets
    smaller only if `can_shrink`: a file of an older version keeps its size, and uses the free part again."""

    size: int = 0
    free: int = 0
    free_pages: int = 0
    can_shrink: bool = False


class Upkeep:
    """Keeps a store small. `transaction` begins one that writes. Every method raises `StoreError`."""

    def __init__(
        self, engine: AsyncEngine, transaction: Callable[[], AbstractAsyncContextManager[AsyncConnection]]
    ) -> None:
        self._engine = engine
        self._transaction = transaction

    async def prune_minutes(self, older_than: float, at_most: int = 5000) -> int:
        """Delete some of the sums by minute from before. Those by hour stay. Return the number deleted."""
        async with self._transaction() as connection:
            return await delete_minutes(connection, older_than, at_most)

    async def oldest_within(self, most_bytes: int) -> float:
        """Return the time from which on requests may stay, so that all of them take at most this space."""
        async with self._transaction() as connection:
            return await oldest_within(connection, most_bytes)

    async def space(self) -> Space:
        """Return the use of the file of an SQLite store. It is zero for PostgreSQL."""
        if self._engine.dialect.name != "sqlite":
            return Space()
        names = ("page_size", "page_count", "freelist_count", "auto_vacuum")
        try:
            async with self._engine.connect() as connection:
                found = [int((await connection.execute(text(f"PRAGMA {name}"))).scalar() or 0) for name in names]
        except STORE_FAILURES as error:
            raise StoreError(describe(error)) from None
        size, pages, free, mode = found
        return Space(pages * size, free * size, free, mode == _INCREMENTAL)

    async def shrink(self, pages: int) -> None:
        """Give this many free pages of an SQLite file back."""
        try:
            async with self._engine.connect() as connection:
                driver: Any = (await connection.get_raw_connection()).driver_connection
                await driver.executescript(f"PRAGMA incremental_vacuum({pages})")  # else it would free a single page
        except STORE_FAILURES as error:
            raise StoreError(describe(error)) from None


async def delete_requests(connection: AsyncConnection, older_than: float, at_most: int) -> int:
    """Delete the oldest requests from before `older_than` with all that belongs to them, and then old sessions and
    settled attempts. Return the number of deleted rows, 0 if nothing is left to delete. Attempts that limits still hold
    stay."""
    end = first_id(older_than)
    old = REQUESTS.c.request_id < end
    query = select(REQUESTS.c.request_id).where(old).order_by(REQUESTS.c.request_id).offset(at_most).limit(1)
    next_id = (await connection.execute(query)).scalar()
    end = next_id or end
    count = int((await connection.execute(delete(REQUESTS).where(REQUESTS.c.request_id < end))).rowcount)
    for table in (REQUEST_TAGS, FEEDBACK):
        await connection.execute(delete(table).where(table.c.request_id < end))
    await connection.execute(delete(REQUEST_SIZES).where(REQUEST_SIZES.c.minute < minute_of(end)))
    if next_id is not None:
        return count
    count += await _delete_sessions(connection, older_than, at_most)
    over = (
        UNSETTLED.c.state.in_((LAPSED, RECONCILED)),
        UNSETTLED.c.at < older_than,
        UNSETTLED.c.attempt_id.not_in(BatchTable.open_attempts()),  # else nothing could settle them
    )
    settled = select(UNSETTLED.c.attempt_id).where(*over).limit(at_most)
    count += (await connection.execute(delete(UNSETTLED).where(UNSETTLED.c.attempt_id.in_(settled)))).rowcount
    await connection.execute(BatchTable.expired(older_than))
    return count


async def _delete_sessions(connection: AsyncConnection, older_than: float, at_most: int) -> int:
    """Delete sessions without a request since, with their agents. Return the number of sessions."""
    names = (SESSIONS.c.session, SESSIONS.c.virtual_key)
    query = select(*names).where(SESSIONS.c.last_at < older_than).order_by(SESSIONS.c.last_at).limit(at_most)
    ended = [{"of_session": row[0], "of_key": row[1]} for row in await connection.execute(query)]
    if ended:
        for table in (SESSION_AGENTS, SESSIONS):
            same = (table.c.session == bindparam("of_session"), table.c.virtual_key == bindparam("of_key"))
            await connection.execute(delete(table).where(*same), ended)
    return len(ended)


async def delete_minutes(connection: AsyncConnection, older_than: float, at_most: int) -> int:
    """Delete the oldest sums by minute from before `older_than`, whole minutes. Return their number."""
    minute = REQUEST_MINUTES.c.minute
    end = int(older_than // MINUTE_S) * MINUTE_S
    query = select(minute).where(minute < end).order_by(minute).offset(at_most).limit(1)
    found = (await connection.execute(query)).scalar()
    last = end if found is None else found + 1  # one minute at least
    return int((await connection.execute(delete(REQUEST_MINUTES).where(minute < last))).rowcount)


async def oldest_within(connection: AsyncConnection, most_bytes: int) -> float:
    """Return the beginning of the oldest minute whose requests, with all newer ones, take at most this space. All of
    the present minute stays."""
    table = REQUEST_SIZES.c
    size = table.bytes + table.requests * ROW_BYTES
    total = func.sum(size).over(order_by=table.minute.desc()).label("total")
    part = select(table.minute, total).subquery()
    over = select(func.max(part.c.minute)).where(part.c.total > most_bytes)
    newest = select(func.max(table.minute))
    found, last = (await connection.execute(over)).scalar(), (await connection.execute(newest)).scalar()
    return 0.0 if found is None else float(min(found + MINUTE_S, last))
