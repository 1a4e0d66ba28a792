"""The store's address and connection, and the migration of its tables."""

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import inspect
from sqlalchemy.exc import SQLAlchemyError

from integration.databases import database
from integration.gateway import run
from pointsman.control.store import database as module
from pointsman.control.store.database import StoreError, connect, migrate, store_url
from pointsman.control.store.store import Store


def test_store_url_selects_the_database(tmp_path: Path) -> None:
    assert store_url(None, tmp_path).render_as_string() == f"sqlite+aiosqlite:///{tmp_path}/pointsman.db"
    for scheme in ("postgres", "postgresql"):
        url = store_url(f"{scheme}://me:secret@db.example/books", tmp_path)
        assert url.drivername == "postgresql+asyncpg"
        assert "secret" not in str(url)


def test_sqlite_is_ready_for_readers_beside_a_writer(tmp_path: Path) -> None:
    async def main() -> None:
        await (await Store.open(store_url(None, tmp_path))).close()

    run(main())
    with sqlite3.connect(tmp_path / "pointsman.db") as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA page_size").fetchone() == (16384,)
    connection.close()


def test_store_is_migrated_once(tmp_path: Path) -> None:
    async def main() -> None:
        engine = connect(store_url(None, tmp_path))
        await migrate(engine)
        await migrate(engine)
        await engine.dispose()
        await (await Store.open(store_url(None, tmp_path))).close()

    run(main())


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
@pytest.mark.parametrize("table", ["usage", "refused"])
def test_interrupted_migration_is_rolled_back(kind: str, table: str, tmp_path: Path) -> None:
    """Control may be killed at its first start."""

    async def test(url: str | None) -> None:
        engine = connect(store_url(url, tmp_path))
        async with engine.begin() as connection:
            await connection.exec_driver_sql(f"CREATE TABLE {table} (name TEXT)")
        with pytest.raises(SQLAlchemyError):
            await migrate(engine)
        async with engine.begin() as connection:
            assert await connection.run_sync(lambda sync: inspect(sync).get_table_names()) == [table]
            await connection.exec_driver_sql(f"DROP TABLE {table}")
        await migrate(engine)
        await engine.dispose()

    async def main() -> None:
        if kind == "sqlite":
            await test(None)
        else:
            async with database() as url:
                await test(url)

    run(main())


def test_interrupted_creation_is_rolled_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "broken.sql"
    broken.write_text(module.NEWEST.read_text() + "CREATE nonsense;\n")

    async def main() -> None:
        engine = connect(store_url(None, tmp_path))
        with monkeypatch.context() as patch:
            patch.setattr(module, "NEWEST", broken)
            with pytest.raises(SQLAlchemyError):
                await migrate(engine)
        async with engine.begin() as connection:
            assert await connection.run_sync(lambda sync: inspect(sync).get_table_names()) == []
        await migrate(engine)
        await engine.dispose()

    run(main())


def test_versions_equal_the_names_of_their_files() -> None:
    script = ScriptDirectory(str(module.MIGRATIONS))
    steps = [(Path(one.path).name.partition("_")[0], one.revision) for one in script.walk_revisions()]
    assert [name for name, _ in steps] == [revision for _, revision in steps]
    assert script.get_current_head() == max(revision for _, revision in steps)


def test_alembic_is_loaded_only_for_a_migration(tmp_path: Path) -> None:
    """Loading it takes a tenth of the start."""
    code = (
        "import asyncio, sys; from pathlib import Path; import pointsman.runtime.control\n"
        "from pointsman.control.store.database import store_url; from pointsman.control.store.store import Store\n"
        "async def main():\n"
        "    for _ in range(2):\n"
        f"        await (await Store.open(store_url(None, Path({str(tmp_path)!r})))).close()\n"
        "asyncio.run(main()); sys.exit('alembic' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_store_of_a_newer_version_stays_unchanged(tmp_path: Path) -> None:
    async def main() -> None:
        await (await Store.open(store_url(None, tmp_path))).close()
        with sqlite3.connect(tmp_path / "pointsman.db") as connection:
            connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.close()
        with pytest.raises(StoreError, match=r"newer version created the store \(schema 9999\); start that version"):
            await Store.open(store_url(None, tmp_path))

    run(main())


def test_error_of_a_broken_database_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "pointsman.db").write_bytes(b"this is no database, and never was one" * 40)

    async def main() -> None:
        with pytest.raises(StoreError, match="not a database") as caught:
            await Store.open(store_url(None, tmp_path))
        assert "\n" not in str(caught.value)

    run(main())


def test_error_does_not_contain_the_password(tmp_path: Path) -> None:
    async def main() -> None:
        with pytest.raises(StoreError) as caught:
            await Store.open(store_url("postgresql://me:s3cret@127.0.0.1:1/none", tmp_path))
        assert "s3cret" not in str(caught.value)

    run(main())


def test_postgresql_is_migrated(tmp_path: Path) -> None:
    async def main() -> None:
        async with database() as url:
            for _ in range(2):
                await (await Store.open(store_url(url, tmp_path))).close()

    run(main())
