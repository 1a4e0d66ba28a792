"""Queries of the store for the admin API. The admin process runs them on its own connections."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from sqlalchemy import func, select
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncEngine

from pointsman.control.store.batches import BatchTable
from pointsman.control.store.database import STORE_FAILURES, StoreError, connect, describe
from pointsman.control.store.log_queries import LAST_ID, LogQueries, RequestFilter
from pointsman.control.store.reconcile import RECONCILED
from pointsman.control.store.resources import ConfigVersion, version_of, versions_query
from pointsman.control.store.scopes import conditions_of
from pointsman.control.store.series import SPLIT_SERIES, TAG_SERIES, USAGE_SERIES, Series, summed
from pointsman.control.store.tables import BODIES, FEEDBACK, HOUR_S, REQUESTS, UNSETTLED, USAGE, USAGE_TAGS, Row
from pointsman.domain.rights import ALL, AccessScope


class Rows(NamedTuple):
    """The rows to sum: those of whole hours from `since` up to `until`, in Unix seconds."""

    since: float
    until: float
    limit: int = 1000
    offset: int = 0


class Reports:
    """Queries. Every method raises `StoreError` when the database cannot be used."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self.log = LogQueries(engine)

    @classmethod
    def of(cls, url: URL) -> "Reports":
        """Return reports on a store that another process writes."""
        return cls(connect(url, is_reader=True))

    async def close(self) -> None:
        await self._engine.dispose()

    async def usage(self, group_by: Sequence[str], filters: Row, rows: Rows, *, of_requests: bool = False) -> list[Row]:
        """Return sums over attempts by columns of `usage`, or over requests by columns of `usage_tags`, or by `day`."""
        series = TAG_SERIES if of_requests else USAGE_SERIES
        return await self.sums(series, group_by, filters, rows)

    async def sums(
        self, series: Series, group_by: Sequence[str], filters: Row, rows: Rows, scope: AccessScope = ALL
    ) -> list[Row]:
        """Return the sums of a series by its names, or by `minute`, `hour` or `day`."""
        query = summed(series, group_by, filters, (rows.since // HOUR_S * HOUR_S, rows.until), scope)
        found = await self._rows(query.limit(rows.limit).offset(rows.offset))
        return [{name: _plain(value) for name, value in row.items()} for row in found]

    async def requests(
        self, filters: Row, limit: int, *, after: str | None = None, before: str | None = None
    ) -> list[Row]:
        """Return single requests, newest first; `after` and `before` are request ids."""
        chosen = RequestFilter(equal=filters, after=after or "", before=before or LAST_ID)
        return (await self.log.page(chosen, limit, with_records=True)).rows

    async def records(self, limit: int, before: str | None) -> list[bytes]:
        """Return the records of single requests in JSON, newest first; `before` is a request id."""
        query = select(REQUESTS.c.record).order_by(REQUESTS.c.request_id.desc()).limit(limit)
        if before is not None:
            query = query.where(REQUESTS.c.request_id < before)
        return [row["record"] for row in await self._rows(query)]

    async def newest(self) -> int:
        """Return the number of the request that was stored last, 0 if there is none."""
        rows = await self._rows(select(func.max(REQUESTS.c.ingested).label("newest")))
        return int(rows[0]["newest"] or 0)

    async def stored_after(self, number: int, limit: int) -> list[tuple[int, bytes]]:
        """Return the numbers and records of requests stored after this one, in the order of their ingestion."""
        columns = (REQUESTS.c.ingested, REQUESTS.c.record)
        query = select(*columns).where(REQUESTS.c.ingested > number).order_by(REQUESTS.c.ingested).limit(limit)
        return [(row["ingested"], row["record"]) for row in await self._rows(query)]

    async def bodies(self, request_ids: Sequence[str]) -> dict[str, bytes]:
        """Return the bodies of requests that are kept, in JSON, by their ids."""
        found = await self._rows(select(BODIES).where(BODIES.c.request_id.in_(request_ids)))
        return {row["request_id"]: row["bodies"] for row in found}

    async def request(self, request_id: str) -> Row | None:
        rows = await self._rows(select(REQUESTS).where(REQUESTS.c.request_id == request_id))
        return rows[0] if rows else None

    async def unsettled(self, limit: int, scope: AccessScope = ALL) -> list[Row]:
        """Return attempts whose cost is still unreported and not reconciled, newest first."""
        query = select(UNSETTLED).where(UNSETTLED.c.state != RECONCILED, *conditions_of(scope, UNSETTLED.c))
        return await self._rows(query.order_by(UNSETTLED.c.at.desc()).limit(limit))

    async def unsettled_of(self, attempts: Sequence[str]) -> dict[str, Row]:
        """Return those of these attempts whose cost no provider reported."""
        rows = await self._rows(select(UNSETTLED).where(UNSETTLED.c.attempt_id.in_(attempts)))
        return {row["attempt_id"]: row for row in rows}

    async def batches(self) -> list[Row]:
        """Return the batches that are not settled, the oldest first."""
        return await self._rows(BatchTable.open())

    async def due_batches(self, now_unix_s: float, without: Sequence[str] = ()) -> list[Row]:
        """Return those of them that are due, the most overdue first, except at the providers in `without`."""
        return await self._rows(BatchTable.due(now_unix_s, without))

    async def splits(self, model: str | None, rows: Rows) -> list[Row]:
        """Return sums of the measures of targets of public names, see `control.variants`."""
        names = ("model", "variant", "target", "measure")
        return await self.sums(SPLIT_SERIES, names, {"model": model} if model is not None else {}, rows)

    async def feedback(self, model: str | None, rows: Rows) -> list[Row]:
        """Return scores with the records of their requests, those of the newest requests first."""
        query = (
            select(FEEDBACK.c.owner, FEEDBACK.c.score, REQUESTS.c.record)
            .join(REQUESTS, REQUESTS.c.request_id == FEEDBACK.c.request_id)
            .where(FEEDBACK.c.request_id >= first_id(rows.since), FEEDBACK.c.request_id < first_id(rows.until))
        )
        if model is not None:
            query = query.where(REQUESTS.c.model == model)
        return await self._rows(query.order_by(FEEDBACK.c.request_id.desc()).limit(rows.limit))

    async def versions(self, limit: int, before: int | None = None, after: int | None = None) -> list[ConfigVersion]:
        """Return versions of the configuration, the newest first. `before` and `after` are their numbers."""
        return [version_of(row) for row in await self._rows(versions_query(limit, before, after))]

    async def is_known(self, column: str, value: str) -> bool:
        """Return whether there was any use under this name: of a column of `usage`, or a `tag`."""
        table = USAGE_TAGS if column == "tag" else USAGE
        return bool(await self._rows(select(table.c.hour).where(table.c[column] == value).limit(1)))

    async def was_asked_for(self, column: str, value: str) -> bool:
        """Return whether there is a request with this value."""
        chosen = RequestFilter(equal={column: value})
        return bool((await self.log.page(chosen, 1)).rows)

    async def rows(self, query: Any) -> list[Row]:
        """Return the rows of any query."""
        return await self._rows(query)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Callable[[Any], Awaitable[list[Row]]]]:
        """Return the rows of several queries over one connection."""
        try:
            async with self._engine.connect() as connection:

                async def rows(query: Any) -> list[Row]:
                    return [dict(row) for row in (await connection.execute(query)).mappings()]

                yield rows
        except STORE_FAILURES as error:
            raise StoreError(describe(error)) from None

    async def _rows(self, query: Any) -> list[Row]:
        try:
            async with self._engine.connect() as connection:
                return [dict(row) for row in (await connection.execute(query)).mappings()]
        except STORE_FAILURES as error:
            raise StoreError(describe(error)) from None


def first_id(at: float) -> str:
    """Return an id that sorts before those of all requests from `at` on: UUIDs of version 7 begin with the time."""
    milliseconds = f"{max(0, int(at * 1000)):012x}"
    return f"{milliseconds[:8]}-{milliseconds[8:]}"


def _plain(value: Any) -> Any:
    """Convert a sum from PostgreSQL, which is a decimal."""
    return value if isinstance(value, int | str | float) or value is None else int(value)
