"""The first migration makes what the code expects, and takes it away again."""

from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, inspect

from integration.databases import database
from integration.gateway import run
from pointsman.control.store import database as module
from pointsman.control.store.database import connect, migrate, store_url
from pointsman.control.store.tables import METADATA


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(module.__file__).with_name("migrations")))
    config.attributes["connection"] = connection
    return config


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_up_and_down(kind: str, tmp_path: Path) -> None:
    async def check(url: str | None) -> None:
        engine = connect(store_url(url, tmp_path))
        await migrate(engine)
        async with engine.begin() as connection:
            differences: list[Any] = await connection.run_sync(
                lambda sync: compare_metadata(MigrationContext.configure(sync), METADATA)
            )
            assert differences == []
            await connection.run_sync(lambda sync: command.downgrade(_config(sync), "base"))
            left = await connection.run_sync(lambda sync: inspect(sync).get_table_names())
            assert left == ["alembic_version"]
        await migrate(engine)
        await engine.dispose()

    async def main() -> None:
        if kind == "sqlite":
            await check(None)
        else:
            async with database() as url:
                await check(url)

    run(main())
