"""Statements that are compiled once, with values that go to the driver unchanged."""

from operator import itemgetter
from typing import Any

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
