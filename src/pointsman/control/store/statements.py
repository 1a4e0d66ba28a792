"""Statements that are compiled once, with values that go to the driver unchanged."""

from collections.abc import Sequence
from operator import itemgetter
from typing import Any

from sqlalchemy import Table, case, func, literal_column
from sqlalchemy.dialects import sqlite
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine


class Statement:
    """A statement that runs for many rows."""

    def __init__(self, engine: AsyncEngine, statement: Any) -> None:
        compiled = statement.compile(dialect=engine.dialect)
        self.text = str(compiled)
        self._values = itemgetter(*compiled.positiontup)

    async def run(self, connection: AsyncConnection, rows: list[dict[str, Any]]) -> None:
        if rows:
            await connection.exec_driver_sql(self.text, list(map(self._values, rows)))


def adding(insert: Any, table: Table, sums: Sequence[str]) -> Any:
    """Add to the present values. SQLite turns a sum over 63 bits into an inexact number. The statement makes it null
    instead, and every column rejects that."""
    return insert.on_conflict_do_update(index_elements=list(table.primary_key), set_=added(insert, table, sums))


def added(insert: Any, table: Table, sums: Sequence[str]) -> dict[str, Any]:
    """Return the changes of such a statement."""
    changes: dict[str, Any] = {name: table.c[name] + insert.excluded[name] for name in sums}
    if isinstance(insert, sqlite.Insert):
        changes = {
            name: case((func.typeof(total) == literal_column("'integer'"), total)) for name, total in changes.items()
        }
    return changes
