"""The way to the store: its address, its tables, and those of a version that is newer."""

import sqlite3
from pathlib import Path

import pytest

from integration.databases import database
from integration.gateway import run
from pointsman.control.store.database import StoreError, connect, migrate, store_url
from pointsman.control.store.store import Store


def test_addresses(tmp_path: Path) -> None:
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


def test_a_store_is_migrated_once_and_opened_again(tmp_path: Path) -> None:
    async def main() -> None:
        engine = connect(store_url(None, tmp_path))
        await migrate(engine)
        await migrate(engine)
        await engine.dispose()
        await (await Store.open(store_url(None, tmp_path))).close()

    run(main())


def test_a_store_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    async def main() -> None:
        await (await Store.open(store_url(None, tmp_path))).close()
        with sqlite3.connect(tmp_path / "pointsman.db") as connection:
            connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.close()
        with pytest.raises(StoreError, match=r"newer version \(schema 9999\); start that one, or restore a backup"):
            await Store.open(store_url(None, tmp_path))

    run(main())


def test_what_is_no_database_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "pointsman.db").write_bytes(b"this is no database, and never was one" * 40)

    async def main() -> None:
        with pytest.raises(StoreError, match="not a database") as caught:
            await Store.open(store_url(None, tmp_path))
        assert "\n" not in str(caught.value)

    run(main())


def test_a_password_is_not_in_the_error(tmp_path: Path) -> None:
    async def main() -> None:
        with pytest.raises(StoreError) as caught:
            await Store.open(store_url("postgresql://me:s3cret@127.0.0.1:1/none", tmp_path))
        assert "s3cret" not in str(caught.value)

    run(main())


def test_postgresql_is_migrated_too(tmp_path: Path) -> None:
    async def main() -> None:
        async with database() as url:
            for _ in range(2):
                await (await Store.open(store_url(url, tmp_path))).close()

    run(main())
