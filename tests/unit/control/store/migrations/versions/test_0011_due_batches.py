"""The eleventh migration adds the time at which a batch is due, and its problem."""

from pathlib import Path

import pytest

from integration.databases import database
from integration.gateway import run
from pointsman.control.store.database import connect, migrate, store_url
from pointsman.control.store.tables import BATCHES
from unit.control.store.migrations.versions.test_0001_first_tables import at_version
from unit.control.store.migrations.versions.test_0008_variants_and_feedback import columns_of

OLD = "INSERT INTO batches VALUES ('r-1', 'b', 'made', 1.0, 'a', 'me', '', '{}', '', 0.0)"


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_open_batches_are_due_at_once(kind: str, tmp_path: Path) -> None:
    async def check(url: str | None) -> None:
        engine = connect(store_url(url, tmp_path))
        await at_version(engine, "0010")
        async with engine.begin() as connection:
            await connection.exec_driver_sql(OLD)
        await migrate(engine)
        async with engine.begin() as connection:
            found = await connection.run_sync(columns_of, BATCHES.name)
            assert found == {column.name for column in BATCHES.columns}
            row = (await connection.exec_driver_sql("SELECT due_at, problem FROM batches")).one()
            assert tuple(row) == (0.0, "")
        await engine.dispose()

    async def main() -> None:
        if kind == "sqlite":
            await check(None)
        else:
            async with database() as url:
                await check(url)

    run(main())
