"""Writes the request log: single requests, their tags and sizes, sums over them by time, and sessions."""

from collections.abc import Sequence
from itertools import groupby
from time import time
from typing import Any

from sqlalchemy import Table, func, literal_column, select
from sqlalchemy.dialects import sqlite
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from pointsman.control.store.request_tally import RequestTally
from pointsman.control.store.series import REQUEST_SERIES, TAG_SERIES, SeriesWriter
from pointsman.control.store.statements import Statement, added, adding
from pointsman.control.store.tables import (
    MINUTE_S,
    REQUEST_SIZES,
    REQUEST_SUMS,
    REQUEST_TAGS,
    REQUESTS,
    SESSION_AGENTS,
    SESSIONS,
    Row,
)
from pointsman.domain.records import RequestRecord

RequestRow = tuple[str, float, str, str, str, int, int, bytes, str, int, int, str, str, str, str, int, int, int]
"""One row of `requests` without its last column, in the order of the others. A plain tuple: there is one for every
request."""


def request_row(request: RequestRecord, line: bytes) -> RequestRow:
    """Return the row of a request, whose record is the line."""
    return (
        request.request_id,
        request.time,
        request.virtual_key or "",
        request.model or "",
        request.provider or "",
        request.status,
        request.cost_nano,
        line,
        request.client_request_id or "",
        request.estimated_nano,
        request.reserved_nano,
        request.team or "",
        request.customer or "",
        request.session or "",
        request.code or "",
        request.duration_us,
        request.cost_nano.bit_length(),
        request.duration_us.bit_length(),
    )


class _Numbers:
    """Numbers of requests, each larger than all before. Followers of the table rely on this, also after all rows were
    deleted: so the numbers are microseconds of Unix time, and further ones if needed."""

    def __init__(self) -> None:
        self._last: int | None = None

    async def first(self, connection: AsyncConnection, count: int) -> int:
        """Return the first of some new numbers."""
        if self._last is None:
            found = await connection.execute(select(func.max(REQUESTS.c.ingested)))
            self._last = found.scalar() or 0
        first = max(self._last + 1, int(time() * 1e6))
        self._last = first + count - 1
        return first


class RequestWriter:
    """The statements of the request log."""

    def __init__(self, engine: AsyncEngine, insert: Any) -> None:
        self._numbers = _Numbers()
        self._insert_requests = Statement(engine, insert(REQUESTS).on_conflict_do_nothing())
        self._insert_tags = Statement(engine, insert(REQUEST_TAGS).on_conflict_do_nothing())
        self._add_sizes = Statement(engine, adding(insert(REQUEST_SIZES), REQUEST_SIZES, ("requests", "bytes")))
        self._minutes = SeriesWriter(engine, insert, REQUEST_SERIES)
        self._tags = SeriesWriter(engine, insert, TAG_SERIES)
        self._sessions = Statement(engine, _spanning(insert(SESSIONS), SESSIONS, ("team", "customer")))
        self._agents = Statement(engine, _spanning(insert(SESSION_AGENTS), SESSION_AGENTS, ("parent_agent",)))

    async def write(self, connection: AsyncConnection, rows: Sequence[RequestRow], tags: list[Row]) -> None:
        """Write single requests, in the order of their ingestion."""
        await self._insert_tags.run(connection, tags)
        if not rows:
            return
        first = await self._numbers.first(connection, len(rows))
        numbered = [(*row, number) for number, row in enumerate(rows, first)]
        await connection.exec_driver_sql(self._insert_requests.text, numbered)
        sizes = sorted((minute_of(row[0]), len(row[7])) for row in rows)
        by_minute = [(minute, [size for _, size in found]) for minute, found in groupby(sizes, lambda one: one[0])]
        await self._add_sizes.run(
            connection, [{"minute": minute, "requests": len(all_), "bytes": sum(all_)} for minute, all_ in by_minute]
        )

    async def add_rows(
        self,
        connection: AsyncConnection,
        minutes: Sequence[Row],
        tags: Sequence[Row],
        sessions: list[Row],
        agents: list[Row],
    ) -> None:
        """Add the increments of a tally."""
        await self._minutes.add(connection, minutes)
        await self._tags.add(connection, tags)
        await self._sessions.run(connection, sessions)
        await self._agents.run(connection, agents)

    async def add(self, connection: AsyncConnection, tally: RequestTally) -> None:
        """Add the increments of a tally."""
        await self.add_rows(connection, tally.minutes(), tally.tags(), tally.sessions(), tally.agents())


def minute_of(request_id: str) -> int:
    """Return the minute in which a request arrived, in Unix seconds: UUIDs of version 7 begin with the time. An id of
    another form counts as old."""
    try:
        return int(request_id[:8] + request_id[9:13], 16) // 1000 // MINUTE_S * MINUTE_S
    except ValueError:
        return 0


def _spanning(insert: Any, table: Table, names: Sequence[str]) -> Any:
    """Add to the present sums, and extend the time. Names that are not empty replace the present ones."""
    is_sqlite = isinstance(insert, sqlite.Insert)
    least, greatest = (func.min, func.max) if is_sqlite else (func.least, func.greatest)
    new, old = insert.excluded, table.c
    changes = added(insert, table, REQUEST_SUMS)
    changes["first_at"] = least(old.first_at, new.first_at)
    changes["last_at"] = greatest(old.last_at, new.last_at)
    for name in names:
        changes[name] = func.coalesce(func.nullif(new[name], literal_column("''")), old[name])
    return insert.on_conflict_do_update(index_elements=list(table.primary_key), set_=changes)
