"""Tables of another gateway's database are read, with the columns that exist."""

import asyncpg
import pytest

from integration.databases import database
from integration.gateway import run
from pointsman.importers.database import DatabaseUnreadableError, read_tables

TABLES = {"Some_Table": ("id", "name", "newer"), "Absent": ("id",)}


def test_present_tables_and_columns_are_read() -> None:
    async def main() -> None:
        async with database() as url:
            connection = await asyncpg.connect(url.replace("+asyncpg", ""))
            await connection.execute('CREATE TABLE "Some_Table" (id text, name text, other text)')
            await connection.execute("INSERT INTO \"Some_Table\" VALUES ('b', 'x', 'y'), ('a', NULL, 'z')")
            await connection.close()
            found = await read_tables(url, TABLES)
            assert found == {"Some_Table": [{"id": "a", "name": None}, {"id": "b", "name": "x"}]}
            with pytest.raises(DatabaseUnreadableError, match="none of the tables Absent"):
                await read_tables(url, {"Absent": ("id",)})

    run(main())


@pytest.mark.parametrize(
    "url", ["mysql://canary@x/y", "canary", "postgresql://canary:canary@127.0.0.1:1/x", "postgresql://["]
)
def test_error_has_no_address(url: str) -> None:
    with pytest.raises(DatabaseUnreadableError) as caught:
        run(read_tables(url, TABLES))
    assert "canary" not in str(caught.value)
