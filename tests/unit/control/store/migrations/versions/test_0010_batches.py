"""The tenth migration adds batches, and a note to stored objects."""

from pathlib import Path

import pytest

from integration.databases import database
from integration.gateway import run
from pointsman.control.store.database import connect, migrate, store_url
from pointsman.control.store.tables import BATCHES, STATE
from unit.control.store.migrations.versions.test_0001_first_tables import at_version
from unit.control.store.migrations.versions.test_0008_variants_and_feedback import columns_of

OLD = "INSERT INTO state (id, provider, kind, provider_key, owner, at) VALUES ('f', 'a', 'file', 'k', '', 1.0)"


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_known_objects_get_an_empty_note(kind: str, tmp_path: Path) -> None:
    async def check(url: str | None) -> None:
        engine = connect(store_url(url, tmp_path))
        await at_version(engine, "0009")
        async with engine.begin() as connection:
            await connection.exec_driver_sql(OLD)
        await migrate(engine)
        async with engine.begin() as connection:
            for table in (BATCHES, STATE):
                found = await connection.run_sync(columns_of, table.name)
                assert found == {column.name for column in table.columns}
            assert (await connection.exec_driver_sql("SELECT note FROM state")).scalar() == ""
        await engine.dispose()

    async def main() -> None:
        if kind == "sqlite":
            await check(None)
        else:
            async with database() as url:
                await check(url)

    run(main())
