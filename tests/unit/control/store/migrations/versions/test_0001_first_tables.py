"""The migrations create the tables that the code expects."""

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncEngine

from integration.databases import database
from integration.gateway import run
from pointsman.control.store import database as module
from pointsman.control.store.database import connect, migrate, store_url
from pointsman.control.store.tables import METADATA

for _file in Path(module.__file__).parent.glob("*_tables.py"):  # each adds its tables to the metadata
    import_module(f"pointsman.control.store.{_file.stem}")


async def at_version(engine: AsyncEngine, version: str) -> None:
    """Create the tables of an older version in an empty database."""

    def upgrade(connection: Connection) -> None:
        config = Config()
        config.set_main_option("script_location", str(Path(module.__file__).with_name("migrations")))
        config.attributes["connection"] = connection
        command.upgrade(config, version)

    async with engine.begin() as connection:
        await connection.run_sync(upgrade)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_migrations_create_the_expected_tables(kind: str, tmp_path: Path) -> None:
    async def check(url: str | None) -> None:
        engine = connect(store_url(url, tmp_path))
        await at_version(engine, "0001")
        await migrate(engine)
        async with engine.begin() as connection:
            differences: list[Any] = await connection.run_sync(
                lambda sync: compare_metadata(MigrationContext.configure(sync), METADATA)
            )
            assert differences == []
        await engine.dispose()

    async def main() -> None:
        if kind == "sqlite":
            await check(None)
        else:
            async with database() as url:
                await check(url)

    run(main())
