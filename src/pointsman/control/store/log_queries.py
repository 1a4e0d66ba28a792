"""Finds single requests page by page, newest first or in the order of their ingestion, and sessions.

A page reads one index in the order of ids: that of the filter with the fewest requests. It reads at most `SCAN`
requests there. So it takes a bounded time, whatever the filters are, and may hold fewer rows than wanted although more
exist. Its `next` then says where to go on.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import ColumnElement, Select, and_, exists, func, literal_column, select, text, union_all
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from pointsman.control.store.database import STORE_FAILURES, StoreError, describe
from pointsman.control.store.scopes import conditions_of
from pointsman.control.store.tables import REQUEST_TAGS, REQUESTS, SESSION_AGENTS, SESSIONS, Row
from pointsman.domain.rights import ALL, LEVELS, AccessScope

SCAN = 10_000  # requests read for one page
STEPS = (500, 2000, SCAN - 2500)  # most pages need only the first
PROBE = 1_000  # requests counted to compare two filters
LAST_ID = "g"  # sorts after every id
_SHOWN = tuple(column for column in REQUESTS.columns if column.name != "record")
_EVERY = tuple(REQUESTS.columns)
_SAME = frozenset({"virtual_key", "status"})  # other indexes leave out the rows without a value
_EMPTY: ColumnElement[str] = literal_column(
    "''"
)  # with a parameter, a database would not use an index of rows with a value

# PostgreSQL's defaults suit disks with moving heads. By these it would read all requests to find those of a key.
_FOR_INDEXES = text("SELECT set_config('random_page_cost', '1.1', true), set_config('jit', 'off', true)")

Condition = Callable[[Any], ColumnElement[bool]]
"""A condition on the columns of `requests`, or of a subquery of it."""


class RequestFilter(Struct, frozen=True, kw_only=True):
    """The requests to find. `equal` are values of columns. Amounts are in nano-dollars and microseconds, all of them
    inclusive. `after` and `before` are ids. Only requests in the `scope` are found."""

    equal: dict[str, str | int] = {}
    tag: str | None = None
    is_failed: bool = False
    least_nano: int | None = None
    most_nano: int | None = None
    least_us: int | None = None
    most_us: int | None = None
    after: str = ""
    before: str = LAST_ID
    scope: AccessScope = ALL


class RequestPage(NamedTuple):
    """Rows, newest first. `next` is the id before which the next page begins, or `None` after the last page."""

    rows: list[Row]
    next: str | None


class _Branch(NamedTuple):
    """A part of an index that has the order of ids: of `requests`, or of their tags. Without a condition it is all.
    `is_exact` says that all requests in it are wanted."""

    condition: ColumnElement[bool] | None = None
    is_of_tags: bool = False
    is_exact: bool = True


class _Path(NamedTuple):
    """A way to the requests of one filter: `branches` hold all of them, or are empty if no index helps."""

    condition: Condition
    branches: list[_Branch]


class LogQueries:
    """Queries of the request log. Every method raises `StoreError` when the database cannot be used."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[AsyncConnection]:
        try:
            async with self._engine.connect() as connection:
                if self._engine.dialect.name == "postgresql":
                    await connection.execute(_FOR_INDEXES)
                yield connection
        except STORE_FAILURES as error:
            raise StoreError(describe(error)) from None

    async def page(self, chosen: RequestFilter, limit: int, *, with_records: bool = False) -> RequestPage:
        """Return requests, newest first."""
        async with self._connected() as connection:
            paths = await _paths(connection, chosen)
            path = await _shortest(connection, chosen, paths)
            others = [one.condition for one in paths if one is not path]
            branches = path.branches if path is not None else [_Branch()]
            exact = [one for one in branches if one.is_exact and not others]
            reader = _BranchReader(connection, chosen, _EVERY if with_records else _SHOWN, limit)
            parts = [await reader.read_exact(exact)] if exact else []
            for branch in branches:
                if not branch.is_exact or others:
                    own = [path.condition] if path is not None and not branch.is_exact else []
                    parts.append(await reader.read(branch, [*own, *others], max(SCAN // len(branches), limit)))
        return _merged(parts, limit)

    async def stored_after(self, number: int, chosen: RequestFilter, limit: int) -> tuple[list[Row], int]:
        """Return requests stored after a number, in the order of their ingestion, and the number to go on with."""
        async with self._connected() as connection:
            conditions = [one.condition for one in await _paths(connection, chosen)]
            at = REQUESTS.c.ingested
            numbers = select(at).where(at > number).order_by(at).limit(SCAN).subquery()
            last = (await connection.execute(select(func.max(numbers.c.ingested)))).scalar()
            if last is None:
                return [], number
            part = select(*_SHOWN).where(at > number, at <= last).subquery()  # others may be stored meanwhile
            query = select(part).where(*(one(part.c) for one in conditions)).order_by(part.c.ingested).limit(limit)
            rows = [dict(row) for row in (await connection.execute(query)).mappings()]
            return rows, rows[-1]["ingested"] if len(rows) == limit else last

    async def sessions(
        self, key: str | None, limit: int, before: tuple[float, str, str] | None, scope: AccessScope = ALL
    ) -> list[Row]:
        """Return sessions, those with the latest request first. `before` has the end, the id and the virtual key of the
        last one of the page before."""
        table = SESSIONS.c
        query = (
            select(SESSIONS)
            .where(*conditions_of(scope, table))
            .order_by(table.last_at.desc(), table.session.desc(), table.virtual_key.desc())
        )
        if key is not None:
            query = query.where(table.virtual_key == key)
        if before is not None:
            at, session, owner = before
            same = and_(table.session == session, table.virtual_key < owner)
            query = query.where(table.last_at <= at, (table.last_at < at) | (table.session < session) | same)
        return await self._rows(query.limit(limit))

    async def session(self, name: str, scope: AccessScope = ALL) -> list[Row]:
        """Return the sums of a session, for each virtual key that used its id."""
        query = select(SESSIONS).where(SESSIONS.c.session == name, *conditions_of(scope, SESSIONS.c))
        return await self._rows(query.order_by(SESSIONS.c.virtual_key))

    async def agents(self, name: str, limit: int) -> list[Row]:
        """Return the sums of the agents of a session."""
        query = select(SESSION_AGENTS).where(SESSION_AGENTS.c.session == name)
        return await self._rows(query.order_by(SESSION_AGENTS.c.virtual_key, SESSION_AGENTS.c.first_at).limit(limit))

    async def _rows(self, query: Select[Any]) -> list[Row]:
        async with self._connected() as connection:
            return [dict(row) for row in (await connection.execute(query)).mappings()]


async def _paths(connection: AsyncConnection, chosen: RequestFilter) -> list[_Path]:
    """Return a path for each filter."""
    found = [_equal(name, value) for name, value in chosen.equal.items()]
    if not chosen.scope.is_everything:
        found.append(_of_owners(chosen.scope))
    if (tag := chosen.tag) is not None:
        branch = _Branch(REQUEST_TAGS.c.tag == tag, is_of_tags=True)
        found.append(_Path(lambda of: _tagged(of, tag), [branch]))
    if chosen.is_failed:
        code = REQUESTS.c.code
        branches = [_Branch(and_(code == one, code != _EMPTY)) for one in await _codes(connection)]
        found.append(_Path(lambda of: of.code != _EMPTY, branches))
    for name, bits, least, most in (
        ("nano", "cost_bits", chosen.least_nano, chosen.most_nano),
        ("duration_us", "duration_bits", chosen.least_us, chosen.most_us),
    ):
        if least is not None or most is not None:
            found.append(_Path(_range(name, least, most), await _of_bits(connection, bits, least, most)))
    return found


def _equal(name: str, value: str | int) -> _Path:
    column = REQUESTS.c[name]
    condition = column == value if name in _SAME else and_(column == value, column != _EMPTY)
    is_indexed = name in _SAME or value != ""
    return _Path(lambda of: of[name] == value, [_Branch(condition)] if is_indexed else [])


def _of_owners(scope: AccessScope) -> _Path:
    """Return the path to the requests of the owners in a scope. A request of several of them is in several branches."""
    branches = [_equal(level, name).branches[0] for level in LEVELS for name in scope.names(level) if name]
    return _Path(lambda of: and_(*conditions_of(scope, of)), branches)


def _tagged(of: Any, tag: str) -> ColumnElement[bool]:
    tags = REQUEST_TAGS.alias().c
    return exists().where(tags.request_id == of.request_id, tags.tag == tag)


def _range(name: str, least: int | None, most: int | None) -> Condition:
    def condition(of: Any) -> ColumnElement[bool]:
        bounds = [of[name] >= least] if least is not None else []
        return and_(*bounds, of[name] <= most) if most is not None else and_(*bounds)

    return condition


async def _of_bits(connection: AsyncConnection, name: str, least: int | None, most: int | None) -> list[_Branch]:
    """Return branches for a range of amounts: the requests whose amounts have the same number of bits, for each."""
    if least is None or least <= 0:
        return []  # the index has no rows without an amount
    bits, first = REQUESTS.c[name], least.bit_length()
    last = max(first, most.bit_length() if most is not None else 64)
    return [
        _Branch(and_(bits == _number(one), bits > _number(0)), is_exact=one not in {first, last})
        for one in await _bits(connection, name, first, last) or [first]
    ]


def _number(value: int) -> ColumnElement[int]:
    return literal_column(str(value))


async def _codes(connection: AsyncConnection) -> list[str]:
    """Return the codes of failures in the log, with one step in their index for each. SQLite uses the first of two
    bounds of a column."""
    query = (
        "WITH RECURSIVE known(value) AS (SELECT MIN(code) FROM requests WHERE code <> '' UNION ALL "
        "SELECT (SELECT MIN(code) FROM requests WHERE code > known.value AND code <> '') FROM known "
        "WHERE known.value IS NOT NULL) SELECT value FROM known WHERE value IS NOT NULL"
    )
    return [row[0] for row in await connection.execute(text(query))]


async def _bits(connection: AsyncConnection, name: str, first: int, last: int) -> list[int]:
    """Return the numbers of bits that amounts in the log have, from `first` to `last`."""
    numbers = ", ".join(f"({one})" for one in range(first, last + 1))
    query = (
        f"WITH numbers(value) AS (VALUES {numbers}) SELECT value FROM numbers "  # noqa: S608 -- names of this file
        f"WHERE EXISTS (SELECT 1 FROM requests WHERE {name} = numbers.value AND {name} > 0)"
    )
    return [row[0] for row in await connection.execute(text(query))]


async def _shortest(connection: AsyncConnection, chosen: RequestFilter, paths: Sequence[_Path]) -> _Path | None:
    """Return the path with the fewest requests, as far as that is worth counting."""
    usable = [one for one in paths if one.branches]
    if len(usable) < 2:
        return usable[0] if usable else None
    counts = []
    for path in usable:
        count = 0
        for branch in path.branches:
            part = _in_order(branch, chosen).limit(PROBE).subquery()
            count += (await connection.execute(select(func.count()).select_from(part))).scalar() or 0
            if count >= PROBE:
                break
        counts.append(count)
    return usable[counts.index(min(counts))]


def _in_order(branch: _Branch, chosen: RequestFilter, columns: Sequence[Any] = ()) -> Select[Any]:
    """Return a query of a branch, newest first: of ids, or of other columns of the requests."""
    id_ = REQUEST_TAGS.c.request_id if branch.is_of_tags else REQUESTS.c.request_id
    query = select(*(columns or (id_,))).where(id_ > chosen.after, id_ < chosen.before).order_by(id_.desc())
    if branch.is_of_tags and columns:
        query = query.join_from(REQUEST_TAGS, REQUESTS, REQUEST_TAGS.c.request_id == REQUESTS.c.request_id)
    return query.where(branch.condition) if branch.condition is not None else query


class _BranchReader(NamedTuple):
    """Reads branches."""

    connection: AsyncConnection
    chosen: RequestFilter
    columns: Sequence[Any]
    limit: int

    async def read_exact(self, branches: Sequence[_Branch]) -> RequestPage:
        """Return the newest requests of some branches, with one query."""
        parts = [_in_order(one, self.chosen, self.columns).limit(self.limit).subquery() for one in branches]
        whole = parts[0] if len(parts) == 1 else union_all(*(select(one) for one in parts)).subquery()
        query = select(whole).order_by(whole.c.request_id.desc()).limit(self.limit)
        rows = [dict(row) for row in (await self.connection.execute(query)).mappings()]
        return RequestPage(rows, rows[-1]["request_id"] if len(rows) == self.limit else None)

    async def read(self, branch: _Branch, others: Sequence[Condition], scan: int) -> RequestPage:
        """Return the requests of a branch that meet the other conditions, after reading at most `scan`."""
        found: list[Row] = []
        chosen, left = self.chosen, scan
        for size in STEPS:
            size = min(max(size, self.limit), left)  # noqa: PLW2901
            left -= size
            found += await self._some(branch, chosen, others, size)
            last = await self.connection.execute(_in_order(branch, chosen).offset(size - 1).limit(1))
            horizon: str | None = last.scalar()
            if len(found) >= self.limit:
                found = found[: self.limit]
                return RequestPage(found, found[-1]["request_id"])
            if horizon is None or left <= 0:
                return RequestPage(found, horizon)
            chosen = replace(chosen, before=horizon)
        return RequestPage(found, horizon)

    async def _some(self, branch: _Branch, chosen: RequestFilter, others: Sequence[Condition], size: int) -> list[Row]:
        part = _in_order(branch, chosen, self.columns).limit(size).subquery()
        query = select(part).where(*(one(part.c) for one in others)).order_by(part.c.request_id.desc())
        return [dict(row) for row in (await self.connection.execute(query.limit(self.limit))).mappings()]


def _merged(parts: Sequence[RequestPage], limit: int) -> RequestPage:
    """Return the newest rows of several pages. Rows older than the end of a page that goes on belong to a later one."""
    horizon = max((one.next for one in parts if one.next is not None), default=None)
    named = {row["request_id"]: row for one in parts for row in one.rows}  # each once
    rows = [row for row in named.values() if horizon is None or row["request_id"] >= horizon]
    rows.sort(key=lambda row: str(row["request_id"]), reverse=True)
    if len(rows) > limit:
        horizon = rows[limit - 1]["request_id"]
    return RequestPage(rows[:limit], horizon)
