"""Sums that the store keeps for several spans of time: written together, and read from as few rows as possible.

A transaction adds the same increments to the table of each span. So all of them agree at any time, also after a kill,
and nothing has to be summed up later.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct
from sqlalchemy import Table, func, select, union_all
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from pointsman.control.store.scopes import conditions_of
from pointsman.control.store.statements import Statement, adding
from pointsman.control.store.tables import (
    DAY_S,
    HOUR_S,
    MINUTE_S,
    REQUEST_DAYS,
    REQUEST_DIMENSIONS,
    REQUEST_HOURS,
    REQUEST_MINUTES,
    REQUEST_SUMS,
    SPLIT_DAYS,
    SPLIT_KEYS,
    SPLITS,
    TAG_DAYS,
    TAG_KEYS,
    TAG_SUMS,
    USAGE,
    USAGE_DAYS,
    USAGE_KEYS,
    USAGE_SUMS,
    USAGE_TAGS,
    Row,
)
from pointsman.domain.rights import ALL, AccessScope

TIMES = {"minute": MINUTE_S, "hour": HOUR_S, "day": DAY_S}
_NAMES = {span: name for name, span in TIMES.items()}


class Series(Struct, frozen=True):
    """Sums by time and names. `tables` are by the span of their rows, in seconds. The column of the time is named after
    the span."""

    names: tuple[str, ...]
    sums: tuple[str, ...]
    tables: Mapping[int, Table]

    def rows(self, span: int, finest: Iterable[Row]) -> list[Row]:
        """Return the rows for a span, from those of the finest one. Each row is there once."""
        given = _NAMES[min(self.tables)]
        name = _NAMES[span]
        found: dict[tuple[Any, ...], list[int]] = {}
        for row in finest:
            key = (row[given] // span * span, *[row[one] for one in self.names])
            known = found.get(key)
            if known is None:
                found[key] = [row[one] for one in self.sums]
            else:
                for place, one in enumerate(self.sums):
                    known[place] += row[one]
        columns = (name, *self.names, *self.sums)
        return [dict(zip(columns, (*key, *sums), strict=True)) for key, sums in found.items()]


USAGE_SERIES = Series(USAGE_KEYS[1:], USAGE_SUMS, {HOUR_S: USAGE, DAY_S: USAGE_DAYS})
TAG_SERIES = Series(TAG_KEYS[1:], TAG_SUMS, {HOUR_S: USAGE_TAGS, DAY_S: TAG_DAYS})
SPLIT_SERIES = Series(SPLIT_KEYS[1:], ("value",), {HOUR_S: SPLITS, DAY_S: SPLIT_DAYS})
REQUEST_SERIES = Series(
    REQUEST_DIMENSIONS, REQUEST_SUMS, {MINUTE_S: REQUEST_MINUTES, HOUR_S: REQUEST_HOURS, DAY_S: REQUEST_DAYS}
)


class SeriesWriter:
    """The statements that add to the tables of a series."""

    def __init__(self, engine: AsyncEngine, insert: Any, series: Series) -> None:
        self._series = series
        self._adding = {
            span: Statement(engine, adding(insert(table), table, series.sums)) for span, table in series.tables.items()
        }

    async def add(self, connection: AsyncConnection, finest: Sequence[Row]) -> None:
        """Add increments. Their times are those of the finest span."""
        if finest:
            for span, statement in self._adding.items():
                await statement.run(connection, self._series.rows(span, finest))


def pieces(since: float, until: float, spans: Iterable[int]) -> list[tuple[int, int, float]]:
    """Divide the time from `since` up to `until` into spans, the longest in the middle. An item has the span, its first
    beginning and the end, before which its rows begin. `since` is rounded down to the shortest span."""
    finest, *coarser = sorted(spans)
    before: list[tuple[int, int, float]] = []
    after: list[tuple[int, int, float]] = []
    span, start, end = finest, int(since // finest) * finest, until
    for longer in coarser:
        begin, stop = -(-start // longer) * longer, int(end // longer) * longer
        if begin >= stop:
            break
        before.append((span, start, float(begin)))
        after.insert(0, (span, stop, end))
        span, start, end = longer, begin, float(stop)
    return [one for one in (*before, (span, start, end), *after) if one[1] < one[2]] or [(finest, start, until)]


def summed(
    series: Series,
    group_by: Sequence[str],
    chosen: Mapping[str, Any],
    within: tuple[float, float],
    scope: AccessScope = ALL,
) -> Any:
    """Return a query of sums by names or times, over the rows in a scope. It uses no longer span than the shortest time
    of `group_by`, and minutes only for those."""
    longest = min((TIMES[name] for name in group_by if name in TIMES), default=DAY_S)
    spans = [span for span in series.tables if span <= longest and (span != MINUTE_S or longest == MINUTE_S)]
    parts = []
    for span, start, end in pieces(*within, spans):
        table = series.tables[span]
        at: Any = table.c[_NAMES[span]]
        groups = [(at // TIMES[one] * TIMES[one] if one in TIMES else table.c[one]).label(one) for one in group_by]
        filters = [table.c[name] == value for name, value in chosen.items()]
        filters += conditions_of(scope, table.c)
        sums = [func.sum(table.c[name]).label(name) for name in series.sums]
        part = select(*groups, *sums).where(at >= start, at < end, *filters)
        parts.append(part.group_by(*groups) if groups else part)
    whole = union_all(*parts).subquery()
    columns = [whole.c[name] for name in group_by]
    query = select(*columns, *(func.sum(whole.c[name]).label(name) for name in series.sums))
    return query.group_by(*columns).order_by(*columns) if columns else query
