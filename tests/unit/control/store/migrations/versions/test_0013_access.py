"""The migration adds the tables of users, roles, service tokens and sessions."""

from pathlib import Path

import pytest
from sqlalchemy import func, select

from integration.databases import database
from integration.gateway import run
from pointsman.control.store.access_tables import (
    CONSOLE_SESSIONS,
    GRANTS,
    LOGIN_ATTEMPTS,
    ROLES,
    SERVICE_TOKENS,
    USERS,
)
from pointsman.control.store.database import connect, migrate, store_url
from unit.control.store.migrations.versions.test_0001_first_tables import at_version
from unit.control.store.migrations.versions.test_0008_variants_and_feedback import columns_of

TABLES = (USERS, GRANTS, ROLES, SERVICE_TOKENS, CONSOLE_SESSIONS, LOGIN_ATTEMPTS)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_tables_are_added_empty(kind: str, tmp_path: Path) -> None:
    async def check(url: str | None) -> None:
        engine = connect(store_url(url, tmp_path))
        await at_version(engine, "0012")
        await migrate(engine)
        async with engine.begin() as connection:
            for table in TABLES:
                found = await connection.run_sync(columns_of, table.name)
                assert found == {column.name for column in table.columns}
                assert (await connection.execute(select(func.count()).select_from(table))).scalar() == 0
        await engine.dispose()

    async def main() -> None:
        if kind == "sqlite":
            await check(None)
        else:
            async with database() as url:
                await check(url)

    run(main())
