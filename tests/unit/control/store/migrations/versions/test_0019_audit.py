"""The migration adds the table of the audit log."""

from pathlib import Path

import pytest
from sqlalchemy import func, select

from integration.databases import database
from integration.gateway import run
from pointsman.control.store.audit_table import AUDIT
from pointsman.control.store.database import connect, migrate, store_url
from unit.control.store.migrations.versions.test_0001_first_tables import at_version
from unit.control.store.migrations.versions.test_0008_variants_and_feedback import columns_of


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_table_is_added_empty(kind: str, tmp_path: Path) -> None:
    async def check(url: str | None) -> None:
        engine = connect(store_url(url, tmp_path))
        await at_version(engine, "0018")
        await migrate(engine)
        async with engine.begin() as connection:
            found = await connection.run_sync(columns_of, AUDIT.name)
            assert found == {column.name for column in AUDIT.columns}
            assert (await connection.execute(select(func.count()).select_from(AUDIT))).scalar() == 0
        await engine.dispose()

    async def main() -> None:
        if kind == "sqlite":
            await check(None)
        else:
            async with database() as url:
                await check(url)

    run(main())
