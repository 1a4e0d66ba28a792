"""The third migration keeps sums by tag."""

from pathlib import Path

import pytest
from sqlalchemy import text

from integration.databases import database
from integration.gateway import run
from pointsman.control.store.database import connect, migrate, store_url
from unit.control.store.migrations.versions.test_0001_first_tables import at_version

_OLD = "INSERT INTO usage_tags VALUES (3600, 'env=dev', 1, 2, 3, 4)"
_NEW = "INSERT INTO usage_tags VALUES (3600, 'env=dev', 'me', '', '', 'openai', 'gpt-4o', '', 10, 20, 30, 40, 0, 0)"


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_sums_by_tag_stay(kind: str, tmp_path: Path) -> None:
    async def check(url: str | None) -> None:
        engine = connect(store_url(url, tmp_path))

        async def rows() -> list[tuple[object, ...]]:
            async with engine.begin() as connection:
                query = text("SELECT * FROM usage_tags ORDER BY requests")
                return [tuple(row) for row in await connection.execute(query)]

        await at_version(engine, "0002")
        async with engine.begin() as connection:
            await connection.exec_driver_sql(_OLD)
        await migrate(engine)
        async with engine.begin() as connection:
            await connection.exec_driver_sql(_NEW)
        assert await rows() == [
            (3600, "env=dev", "", "", "", "", "", "", 1, 2, 3, 4, 0, 0),
            (3600, "env=dev", "me", "", "", "openai", "gpt-4o", "", 10, 20, 30, 40, 0, 0),
        ]
        await engine.dispose()

    async def main() -> None:
        if kind == "sqlite":
            await check(None)
        else:
            async with database() as url:
                await check(url)

    run(main())
