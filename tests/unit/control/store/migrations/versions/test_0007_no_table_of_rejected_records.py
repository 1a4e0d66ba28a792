"""The seventh migration drops the table of rejected records, but only if it is empty."""

from pathlib import Path

import pytest
from sqlalchemy import inspect

from integration.databases import database
from integration.gateway import run
from pointsman.control.store.database import connect, migrate, store_url
from unit.control.store.migrations.versions.test_0001_first_tables import at_version


@pytest.mark.parametrize("rows", [0, 1])
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_rejected_records_stay(kind: str, rows: int, tmp_path: Path) -> None:
    async def check(url: str | None) -> None:
        engine = connect(store_url(url, tmp_path))
        await at_version(engine, "0002")
        async with engine.begin() as connection:
            for row in range(rows):
                await connection.exec_driver_sql(f"INSERT INTO refused VALUES (1, 2, {row}, 4.0, 'why', '')")
        await migrate(engine)
        async with engine.begin() as connection:
            tables = await connection.run_sync(lambda sync: inspect(sync).get_table_names())
            assert ("refused" in tables) == bool(rows)
        await engine.dispose()

    async def main() -> None:
        if kind == "sqlite":
            await check(None)
        else:
            async with database() as url:
                await check(url)

    run(main())
