"""The data that control keeps: written in batches, one transaction each, and read by the admin API.

A batch carries the positions in the journals together with the rows derived from them. So nothing is counted twice or
left out, even if a failure comes in between.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from itertools import chain
from time import time
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict
from sqlalchemy import Table, bindparam, delete, inspect, select, text, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL
from sqlalchemy.exc import DataError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from pointsman.control.store.api_keys import ApiKeyTable
from pointsman.control.store.batches import BatchTable, Settlement
from pointsman.control.store.database import STORE_FAILURES, RejectedError, StoreError, connect, describe, migrate
from pointsman.control.store.ownership import Gateway, claim, hold
from pointsman.control.store.reconcile import LAPSED, NO_WORKER, OPEN, RECONCILED, corrected, rejection_reason, settled
from pointsman.control.store.reports import Reports
from pointsman.control.store.request_log import RequestRow, RequestWriter
from pointsman.control.store.retention import Upkeep, delete_requests
from pointsman.control.store.series import SPLIT_SERIES, USAGE_SERIES, SeriesWriter
from pointsman.control.store.state import StateTable
from pointsman.control.store.statements import Statement, adding
from pointsman.control.store.tables import COUNTERS, DAY_S, FEEDBACK, HOLDS, JOURNALS, OWNER, REQUESTS, UNSETTLED, Row
from pointsman.domain.holds import Hold
from pointsman.domain.state import MADE, Change, Record
from pointsman.journal.reader import Position

AT_ONCE = 300  # ids in one query
_OF_VALUES = (DataError, IntegrityError, OverflowError, UnicodeError)  # the latter two come from SQLite's driver
_STATES = frozenset({"22", "23", "54"})  # classes of SQLSTATE: data, integrity, and values too long for an index


class JournalState(Struct, frozen=True):
    """The position in a journal, and the position of its oldest open intent."""

    position: Position
    low: Position
    is_retired: bool = False


class Batch(Struct, kw_only=True):
    """The rows that one transaction writes. They hold increments, except `journals`, `requests`, `unsettled` and
    `feedback`. The changes of `state` are in their order of arrival."""

    journals: dict[str, JournalState] = {}
    counters: list[Row] = []
    usage: list[Row] = []
    tags: list[Row] = []
    requests: list[RequestRow] = []
    request_tags: list[Row] = []
    minutes: list[Row] = []
    sessions: list[Row] = []
    agents: list[Row] = []
    unsettled: list[Row] = []
    state: list[Change] = []
    splits: list[Row] = []
    feedback: list[Row] = []
    batches: list[Row] = []


class Reconciliation(Struct):
    """The result of a reconciliation: the reasons for rejected amounts, and the total corrections of the windows
    concerned, as counter, beginning and amount."""

    rejected: dict[str, str]
    corrections: list[tuple[str, int, int]]


class Store(Reports):
    """The tables. Every method raises `StoreError` when the database cannot be used."""

    def __init__(self, engine: AsyncEngine, epoch: int | None = None) -> None:
        super().__init__(engine)
        self._epoch = epoch  # of its owner, if it needs one
        self.is_sqlite = engine.dialect.name == "sqlite"
        insert: Any = sqlite.insert if self.is_sqlite else postgresql.insert
        # The statements of a batch, compiled once: the values go to the driver unchanged.
        self._add_counters = Statement(engine, adding(insert(COUNTERS), COUNTERS, ("posted",)))
        self._usage = SeriesWriter(engine, insert, USAGE_SERIES)
        self._splits = SeriesWriter(engine, insert, SPLIT_SERIES)
        self._log = RequestWriter(engine, insert)
        self.upkeep = Upkeep(engine, self.transaction)
        self._set_feedback = Statement(engine, _setting(insert(FEEDBACK), FEEDBACK, newer="at"))
        self._insert_unsettled = Statement(engine, insert(UNSETTLED).on_conflict_do_nothing())
        self._set_journals = Statement(engine, _setting(insert(JOURNALS), JOURNALS))
        self._set_hold = _setting(insert(HOLDS), HOLDS)
        self._state = StateTable(engine, insert)
        self._batches = BatchTable(engine, insert)
        self.api_keys = ApiKeyTable(self.transaction, self._rows)

    @classmethod
    async def open(cls, url: URL, gateway: Gateway | None = None) -> "Store":
        """Connect, claim and migrate. A store that several gateways can reach is claimed first. Raises `InUseError` if
        it belongs to another, and leaves that one unchanged."""
        engine = connect(url)
        owner = gateway if engine.dialect.name != "sqlite" else None
        try:
            epoch = await _claim(engine, owner) if owner is not None else None
            await migrate(engine)
            if owner is not None and epoch is None:
                epoch = await _claim(engine, owner)
        except STORE_FAILURES as error:
            await engine.dispose()
            raise StoreError(describe(error)) from None
        except StoreError:
            await engine.dispose()
            raise
        return cls(engine, epoch)

    async def close(self) -> None:
        await self._engine.dispose()

    async def reconnect(self) -> None:
        """Drop the present connections, which may be broken; the next use makes new ones."""
        try:
            async with asyncio.timeout(1):
                await self._engine.dispose()
        except STORE_FAILURES:
            await self._engine.dispose(close=False)

    @asynccontextmanager
    async def _writing(self) -> AsyncIterator[AsyncConnection]:
        """Begin a transaction that writes. Raises `InUseError` if another gateway has claimed the store meanwhile."""
        async with self._engine.begin() as connection:
            if self._epoch is not None:
                await hold(connection, self._epoch)
            yield connection

    async def beat(self) -> None:
        """Show that the owner of the store is alive."""
        if self._epoch is not None:
            async with self.transaction():
                pass

    async def commit(self, batch: Batch) -> None:
        """Write a batch, whole or not at all. Raises `RejectedError` if its content is at fault."""
        try:
            async with self._writing() as connection:
                await self._write(connection, batch)
        except (*STORE_FAILURES, *_OF_VALUES) as error:
            raise (RejectedError if _is_rejection(error) else StoreError)(describe(error)) from None

    async def rejection(self, batch: Batch) -> str | None:
        """Return why the store rejects these rows, if it does. Nothing is written. Raises `StoreError`."""
        try:
            async with self._engine.connect() as connection:
                await self._write(connection, batch)
                await connection.rollback()
        except (*STORE_FAILURES, *_OF_VALUES) as error:
            if not _is_rejection(error):
                raise StoreError(describe(error)) from None
            return describe(error)
        return None

    async def journals(self) -> dict[str, JournalState]:
        rows = await self._rows(select(JOURNALS))
        return {
            row["name"]: JournalState(
                Position(row["segment"], row["byte"]),
                Position(row["low_segment"], row["low_byte"]),
                bool(row["retired"]),
            )
            for row in rows
        }

    async def counters(self, now_unix_s: float) -> list[tuple[str, int, int, int]]:
        """Return counter, window, epoch and amount of every window that is open or ended in the last hour. Attempts may
        still be charged to the latter."""
        columns = (COUNTERS.c.counter, COUNTERS.c.window_start, COUNTERS.c.epoch, COUNTERS.c.posted)
        query = select(*columns).where(COUNTERS.c.window_end > now_unix_s - 3600)
        try:
            async with self._engine.connect() as connection:
                result = await connection.execute(query)
                return [(row[0], row[1], row[2], row[3]) for row in result]
        except STORE_FAILURES as error:
            raise StoreError(describe(error)) from None

    async def reconcile(
        self, amounts: Mapping[str, int], now_unix_s: float, connection: AsyncConnection | None = None
    ) -> Reconciliation:
        """Reconcile attempts at these amounts, in nano-dollars, each once and finally, in the transaction of
        `connection` or in one of its own."""
        async with nullcontext(connection) if connection is not None else self.transaction() as writing:
            query = select(UNSETTLED).where(UNSETTLED.c.attempt_id.in_(amounts)).with_for_update()
            found = {row["attempt_id"]: dict(row) for row in (await writing.execute(query)).mappings()}
            names = {attempt.rpartition("-")[0] for attempt in found}
            query = select(REQUESTS).where(REQUESTS.c.request_id.in_(names)).with_for_update()
            requests = {row["request_id"]: dict(row) for row in (await writing.execute(query)).mappings()}
            rejected: dict[str, str] = {}
            accepted: dict[str, list[tuple[Row, int]]] = {}
            for attempt, nano in amounts.items():
                name, row = attempt.rpartition("-")[0], found.get(attempt)
                is_over = name in requests or (row is not None and row["at"] < now_unix_s - DAY_S)  # deleted by now
                reason = rejection_reason(row, is_over=is_over)
                if reason is not None or row is None:
                    rejected[attempt] = reason or ""
                else:
                    accepted.setdefault(name, []).append((row, nano))
            every = [one for rows in accepted.values() for one in rows]
            await self._settle(writing, every)
            for name, rows in accepted.items():
                if name in requests:
                    changed, tally = corrected(requests[name], rows)
                    await self._log.add(writing, tally)
                    await writing.execute(update(REQUESTS).where(REQUESTS.c.request_id == name).values(**changed))
            done = [{"id": row["attempt_id"], "cost": nano, "now": now_unix_s} for row, nano in every]
            if done:
                await writing.execute(_RECONCILE, done)
            return Reconciliation(rejected, await _corrections(writing, found.values()))

    async def settle_batch(self, settlement: Settlement, now_unix_s: float) -> Reconciliation:
        """Settle a batch at the cost of its lines, once and finally. It is rejected while its request goes on."""
        async with self.transaction() as connection:
            found = await BatchTable.settle(connection, settlement, now_unix_s)
            await self._add_counters.run(connection, _summed(("posted",), found.counters))
            await self._usage.add(connection, found.usage)
            if found.tally is not None:
                await self._log.add(connection, found.tally)
            rejected = {settlement.attempt_id: found.reason} if found.reason is not None else {}
            rows = [found.row] if found.row is not None else []
            return Reconciliation(rejected, await _corrections(connection, rows))

    async def note_batch(self, attempt: str, **values: Any) -> None:
        """Note columns of an open batch."""
        async with self.transaction() as connection:
            await connection.execute(BatchTable.note(attempt, **values))

    async def find_batch(self, attempt: str, made: Record) -> None:
        """Note the id of a batch whose answer was lost, and its owner."""
        async with self.transaction() as connection:
            await connection.execute(BatchTable.found(attempt, made.id))
            await self._state.write(connection, [Change(MADE, made)])

    async def lapse(self, now_unix_s: float, at_most: int = 500) -> int:
        """Turn some attempts whose windows have all ended into charges. Return their number."""
        async with self.transaction() as connection:
            ended = (UNSETTLED.c.state == OPEN, UNSETTLED.c.until <= now_unix_s)
            query = select(UNSETTLED).where(*ended).order_by(UNSETTLED.c.until).limit(at_most).with_for_update()
            rows = [dict(row) for row in (await connection.execute(query)).mappings()]
            await self._settle(connection, [(row, None) for row in rows])
            if rows:
                await connection.execute(_LAPSE, [{"id": row["attempt_id"]} for row in rows])
        return len(rows)

    async def _settle(self, connection: AsyncConnection, rows: Sequence[tuple[Row, int | None]]) -> None:
        made = [settled(row, nano) for row, nano in rows]
        await self._add_counters.run(connection, _summed(("posted",), chain.from_iterable(one for one, _ in made)))
        await self._usage.add(connection, [usage for _, usage in made])

    @asynccontextmanager
    async def transaction(self, *, is_durable: bool = False) -> AsyncIterator[AsyncConnection]:
        """Begin a transaction. It sees all earlier ones, and comes before all later ones. It is committed at the end,
        unless an error is raised. A durable one survives the loss of power, in SQLite too."""
        try:
            if is_durable and self.is_sqlite:
                async with self._engine.connect() as connection, _synchronous(connection):
                    yield connection
                return
            async with self._writing() as connection:
                if self.is_sqlite:  # else the rows read may be outdated by the first write
                    await connection.exec_driver_sql("BEGIN IMMEDIATE")
                yield connection
        except (*STORE_FAILURES, *_OF_VALUES) as error:
            raise StoreError(describe(error)) from None

    async def state(self, ids: Sequence[str]) -> list[Record]:
        """Return the known records of the objects with these ids."""
        wanted = list(dict.fromkeys(ids))
        queries = [self._state.query(wanted[first : first + AT_ONCE]) for first in range(0, len(wanted), AT_ONCE)]
        return [Record(**row) for query in queries for row in await self._rows(query)]

    async def prune(self, older_than: float, at_most: int = 5000) -> int:
        """Delete some of the single requests from before `older_than`, and of the attempts that limits no longer hold.
        Return the number deleted."""
        async with self.transaction() as connection:
            return await delete_requests(connection, older_than, at_most)

    async def prune_state(self, older_than: float, at_most: int = 5000) -> int:
        """Forget some of the objects that were not used since. Return their number. An open batch is in use."""
        async with self.transaction() as connection:
            await connection.execute(BatchTable.renewed(older_than, time()))
            result = await connection.execute(self._state.expired(older_than, at_most))
        return int(result.rowcount)

    async def holds(self, now_unix_s: float) -> list[Hold]:
        """Return the orders of operators that have not ended by now."""
        rows = await self._rows(select(HOLDS).order_by(HOLDS.c.name))
        return [one for row in rows if not (one := Hold(**row)).is_over(now_unix_s)]

    async def place_hold(self, connection: AsyncConnection, hold: Hold) -> None:
        """Write an order in a transaction. Those that have ended are deleted."""
        await connection.execute(delete(HOLDS).where(HOLDS.c.until <= hold.at))
        await connection.execute(self._set_hold, asdict(hold))

    async def release_hold(self, connection: AsyncConnection, name: str) -> None:
        """Delete the order about this name in a transaction, if there is one."""
        await connection.execute(delete(HOLDS).where(HOLDS.c.name == name))

    async def checkpoint(self) -> bool:
        """Protect all commits from damage to SQLite's write-ahead log. Return whether they are safe: always in
        PostgreSQL."""
        if not self.is_sqlite:
            return True
        try:
            async with self._engine.connect() as connection:
                row = (await connection.execute(text("PRAGMA wal_checkpoint(FULL)"))).one()
        except STORE_FAILURES as error:
            raise StoreError(describe(error)) from None
        return bool(row[0] == 0 and row[1] == row[2])

    async def _write(self, connection: AsyncConnection, batch: Batch) -> None:
        await self._add_counters.run(connection, batch.counters)
        await self._usage.add(connection, batch.usage)
        await self._splits.add(connection, batch.splits)
        await self._set_feedback.run(connection, batch.feedback)
        await self._log.write(connection, batch.requests, batch.request_tags)
        await self._log.add_rows(connection, batch.minutes, batch.tags, batch.sessions, batch.agents)
        await self._insert_unsettled.run(connection, batch.unsettled)
        await self._state.write(connection, batch.state)
        await self._batches.write(connection, batch.batches)
        rows = [
            {
                "name": name,
                "segment": state.position.segment,
                "byte": state.position.offset,
                "low_segment": state.low.segment,
                "low_byte": state.low.offset,
                "retired": int(state.is_retired),
            }
            for name, state in batch.journals.items()
        ]
        await self._set_journals.run(connection, rows)


_RECONCILE = (
    update(UNSETTLED)
    .where(UNSETTLED.c.attempt_id == bindparam("id"))
    .values(
        state=RECONCILED, reconciled_nano=bindparam("cost"), reconciled_at=bindparam("now"), held_nano=0,
        tokens=UNSETTLED.c.tokens_used,
    )
)  # fmt: skip
_LAPSE = (
    update(UNSETTLED)
    .where(UNSETTLED.c.attempt_id == bindparam("id"))
    .values(state=LAPSED, held_nano=0, tokens=UNSETTLED.c.tokens_used)
)


@asynccontextmanager
async def _synchronous(connection: AsyncConnection) -> AsyncIterator[None]:
    """Begin a transaction of SQLite that is on the disk once it is committed."""
    await connection.exec_driver_sql("PRAGMA synchronous=FULL")
    try:
        await connection.exec_driver_sql("BEGIN IMMEDIATE")
        yield
        await connection.commit()
    finally:
        await connection.rollback()
        await connection.exec_driver_sql("PRAGMA synchronous=NORMAL")


async def _corrections(connection: AsyncConnection, rows: Iterable[Row]) -> list[tuple[str, int, int]]:
    """Return all corrections of the windows that these attempts count in."""
    counters = {counter for row in rows for counter, *_ in json.loads(row["counters"])}
    query = select(COUNTERS.c.counter, COUNTERS.c.window_start, COUNTERS.c.posted)
    found = await connection.execute(query.where(COUNTERS.c.epoch == NO_WORKER, COUNTERS.c.counter.in_(counters)))
    return [(row[0], row[1], row[2]) for row in found]


async def _claim(engine: AsyncEngine, gateway: Gateway) -> int | None:
    """Claim a store. Return `None` if it has not been migrated far enough to have owners."""
    async with engine.begin() as connection:
        if not await connection.run_sync(lambda sync: inspect(sync).has_table(OWNER.name)):
            return None
        return await claim(connection, gateway)


def _setting(insert: Any, table: Table, newer: str | None = None) -> Any:
    """Replace the present values, unless those are newer by this column: workers' journals come in any order."""
    changes = {column.name: insert.excluded[column.name] for column in table.columns if not column.primary_key}
    where = insert.excluded[newer] >= table.c[newer] if newer is not None else None
    return insert.on_conflict_do_update(index_elements=list(table.primary_key), set_=changes, where=where)


def _summed(sums: Sequence[str], rows: Iterable[Row]) -> list[Row]:
    """Return one row for each set of keys: PostgreSQL is very slow to change a row thousands of times in a
    transaction."""
    found: dict[tuple[Any, ...], Row] = {}
    for row in rows:
        key = tuple(value for name, value in row.items() if name not in sums)
        known = found.get(key)
        found[key] = row if known is None else {**row, **{name: known[name] + row[name] for name in sums}}
    return list(found.values())


def _is_rejection(error: BaseException) -> bool:
    """Return whether the values are at fault, rather than the store."""
    state = getattr(getattr(error, "orig", None), "sqlstate", None)
    return isinstance(error, _OF_VALUES) or (isinstance(state, str) and state[:2] in _STATES)
