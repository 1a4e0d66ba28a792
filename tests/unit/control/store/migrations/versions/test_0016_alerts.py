"""The sixteenth migration adds alerts and their messages."""

from pathlib import Path

import pytest

from fakes.alerts import alert, message
from integration.databases import database
from integration.gateway import run
from pointsman.control.store.alert_tables import ALERT_MESSAGES, ALERTS
from pointsman.control.store.alerts import AlertTable
from pointsman.control.store.database import connect, migrate, store_url
from pointsman.control.store.store import Store
from unit.control.store.migrations.versions.test_0001_first_tables import at_version
from unit.control.store.migrations.versions.test_0008_variants_and_feedback import columns_of


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_older_store_gets_the_tables(kind: str, tmp_path: Path) -> None:
    async def check(url: str | None) -> None:
        engine = connect(store_url(url, tmp_path))
        await at_version(engine, "0015")
        await migrate(engine)
        async with engine.begin() as connection:
            for table in (ALERTS, ALERT_MESSAGES):
                found = await connection.run_sync(columns_of, table.name)
                assert found == {column.name for column in table.columns}
        store = Store(engine)
        assert len(await AlertTable(store).write([alert(1)], [], [message(1)])) == 1
        await store.close()

    async def main() -> None:
        if kind == "sqlite":
            await check(None)
        else:
            async with database() as url:
                await check(url)

    run(main())
