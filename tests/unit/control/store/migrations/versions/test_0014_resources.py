"""The fourteenth migration adds resources, versions of the configuration, and replies to repeated calls."""

from pathlib import Path

import pytest

from integration.databases import database
from integration.gateway import run
from pointsman.control.store.database import connect, migrate, store_url
from pointsman.control.store.tables import CONFIG_VERSIONS, REPLIES, RESOURCES
from unit.control.store.migrations.versions.test_0001_first_tables import at_version
from unit.control.store.migrations.versions.test_0008_variants_and_feedback import columns_of


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_tables_are_added_empty(kind: str, tmp_path: Path) -> None:
    async def check(url: str | None) -> None:
        engine = connect(store_url(url, tmp_path))
        await at_version(engine, "0013")
        await migrate(engine)
        async with engine.begin() as connection:
            for table in (RESOURCES, CONFIG_VERSIONS, REPLIES):
                found = await connection.run_sync(columns_of, table.name)
                assert found == {column.name for column in table.columns}
                assert (await connection.exec_driver_sql(f"SELECT count(*) FROM {table.name}")).scalar() == 0
        await engine.dispose()

    async def main() -> None:
        if kind == "sqlite":
            await check(None)
        else:
            async with database() as url:
                await check(url)

    run(main())
