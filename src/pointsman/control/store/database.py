"""The connection to the store: opened, migrated, and replaced after a failure."""

import secrets
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, NullPool, event, inspect, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

TIMEOUT_S = 5.0  # for a connection, a statement, and a lock
MIGRATIONS = Path(__file__).with_name("migrations")
NEWEST = MIGRATIONS / "newest_sqlite.sql"  # their result in an empty database, made by `make docs`

STORE_FAILURES = (SQLAlchemyError, OSError, TimeoutError)  # the errors of a database and of its connection


class StoreError(Exception):
    """The store cannot be used. The message has the reason and no password."""


def describe(error: BaseException) -> str:
    """Return a driver's message in one line, without the statement and its values."""
    origin = getattr(error, "orig", None) or error
    lines = str(origin).strip().splitlines()
    return f"{type(origin).__name__}: {lines[0]}" if lines else type(origin).__name__


class RejectedError(StoreError):
    """The store works but rejects these values, even if they are retried."""


def store_url(url: str | None, data_dir: Path) -> URL:
    """Return the address with its driver: PostgreSQL for `postgresql://…`, else an SQLite file in `data_dir`. Raises
    `StoreError`."""
    if url is None:
        return URL.create("sqlite+aiosqlite", database=str(data_dir / "pointsman.db"))
    try:
        made = make_url(url)
    except (ValueError, SQLAlchemyError) as error:  # it holds a password
        raise StoreError(
            f"store.url is not a URL, such as postgresql://USER@HOST/NAME: {type(error).__name__}"
        ) from None
    if made.drivername in ("postgres", "postgresql"):
        made = made.set(drivername="postgresql+asyncpg")
    return made


def connect(url: URL, *, is_reader: bool = False) -> AsyncEngine:
    """Return a pool of connections without connecting. A reader neither creates nor changes an SQLite file."""
    if url.get_backend_name() == "sqlite" and is_reader:
        url = url.set(database=Path(url.database or "").absolute().as_uri(), query={"mode": "ro", "uri": "true"})
        # One for each query: an open one keeps others from recovering the log of a killed control process.
        return create_async_engine(url, connect_args={"timeout": TIMEOUT_S}, poolclass=NullPool)
    if url.get_backend_name() == "sqlite":
        engine = create_async_engine(url, connect_args={"timeout": TIMEOUT_S})
        event.listen(engine.sync_engine, "connect", _prepare_sqlite)
        return engine
    arguments: dict[str, Any] = {
        "timeout": TIMEOUT_S,
        "command_timeout": TIMEOUT_S,
        # A pooler may use another session of the server for each transaction. So each connection names its statements
        # uniquely, and expects none to be there later.
        "prepared_statement_name_func": lambda: f"pointsman_{secrets.token_hex(12)}",
        "prepared_statement_cache_size": 0,
        "statement_cache_size": 0,
    }
    return create_async_engine(url, connect_args=arguments, pool_timeout=TIMEOUT_S, pool_size=4, max_overflow=4)


async def migrate(engine: AsyncEngine) -> None:
    """Bring the tables up to this version. Raises `StoreError` for a store of a newer one."""
    async with engine.begin() as connection:
        await connection.run_sync(_upgrade)


def _upgrade(connection: Connection) -> None:
    tables = inspect(connection).get_table_names()
    present = (
        connection.scalar(text("SELECT version_num FROM alembic_version")) if "alembic_version" in tables else None
    )
    known = sorted(path.name.partition("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*.py"))
    if present == known[-1]:
        return
    if present is not None and present not in known:
        raise StoreError(
            f"a newer version created the store (schema {present}); start that version, or restore a backup"
        )
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")  # else the driver commits each table separately
        if not tables:
            for statement in NEWEST.read_text().removesuffix(";\n").split(";\n"):
                connection.exec_driver_sql(statement)
            return
    run_migrations(connection)


def run_migrations(connection: Connection) -> None:
    """Run the steps from the present version to this one."""
    from alembic import command  # noqa: PLC0415 -- it takes longer than all else here, and is seldom needed
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _prepare_sqlite(connection: Any, _: object) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA page_size=16384")  # of a new file: a record fills much of a smaller page
    cursor.execute("PRAGMA auto_vacuum=INCREMENTAL")  # of a new file: deleted requests give their space back
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute(f"PRAGMA busy_timeout={int(TIMEOUT_S * 1000)}")
    cursor.close()
