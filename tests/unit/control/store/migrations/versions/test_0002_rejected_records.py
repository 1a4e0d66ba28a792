"""The second migration keeps existing rows. The test of the first one compares the tables."""

import sqlite3
from pathlib import Path

from integration.gateway import run
from pointsman.control.store.database import connect, migrate, store_url
from unit.control.store.migrations.versions.test_0001_first_tables import at_version


def test_existing_rows_stay(tmp_path: Path) -> None:
    async def main() -> None:
        engine = connect(store_url(None, tmp_path))
        await at_version(engine, "0001")
        async with engine.begin() as connection:
            await connection.exec_driver_sql("INSERT INTO journals VALUES ('j', 1, 2, 3, 4, 0)")
        await migrate(engine)
        await engine.dispose()

    run(main())
    with sqlite3.connect(tmp_path / "pointsman.db") as connection:
        assert connection.execute("SELECT * FROM journals").fetchall() == [("j", 1, 2, 3, 4, 0)]
    connection.close()
