"""The check of the store: an SQLite file, and a database that is away."""

import sqlite3
from contextlib import closing
from pathlib import Path

from fakes.examined import CONFIG, examine, subject
from integration.gateway import run
from pointsman.control.store.database import store_url
from pointsman.control.store.store import Store


def made(folder: Path) -> Path:
    async def main() -> None:
        await (await Store.open(store_url(None, folder))).close()

    folder.mkdir()
    run(main())
    return folder / "pointsman.db"


def test_store_of_this_version(tmp_path: Path) -> None:
    file = made(tmp_path / "data")
    (found,) = examine("store", subject(tmp_path))
    assert found.level == "ok"
    assert found.text.startswith(f"the store {file} answers, with the schema ")


def test_store_of_another_version(tmp_path: Path) -> None:
    file = made(tmp_path / "data")
    for version, level in (("0001", "warning"), ("9999", "error")):
        with closing(sqlite3.connect(file)) as connection:
            connection.execute("UPDATE alembic_version SET version_num = ?", (version,))
            connection.commit()
        (found,) = examine("store", subject(tmp_path))
        assert found.level == level, found


def test_damaged_file(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "pointsman.db").write_bytes(b"this is no database" * 100)
    (found,) = examine("store", subject(tmp_path))
    assert found.level == "error"
    assert "file is not a database" in found.text


def test_database_that_is_away_is_named_without_its_password(tmp_path: Path) -> None:
    config = CONFIG + "store: {url: env.GROQ_API_KEY}\n"
    of = subject(tmp_path, config.replace("env.GROQ_API_KEY", "postgresql://me@127.0.0.1:1/books"))
    (found,) = examine("store", of)
    assert found.level == "error"
    assert "postgresql+asyncpg://me@127.0.0.1:1/books cannot be read" in found.text
