"""The sixth migration creates the table of stored objects."""

from pathlib import Path

import pytest
from sqlalchemy import inspect

from integration.databases import database
from integration.gateway import run
from pointsman.control.store.database import connect, migrate, store_url
from unit.control.store.migrations.versions.test_0001_first_tables import at_version


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_table_is_created(kind: str, tmp_path: Path) -> None:
    async def check(url: str | None) -> None:
        engine = connect(store_url(url, tmp_path))

        async def has_table() -> bool:
            async with engine.begin() as connection:
                return await connection.run_sync(lambda sync: "state" in inspect(sync).get_table_names())

        await at_version(engine, "0005")
        assert not await has_table()
        await migrate(engine)
        assert await has_table()
        await engine.dispose()

    async def main() -> None:
        if kind == "sqlite":
            await check(None)
        else:
            async with database() as url:
                await check(url)

    run(main())
