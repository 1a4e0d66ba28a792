"""Reads tables of another gateway's database, and changes nothing there."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import column, inspect, select, table
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine


class DatabaseUnreadableError(Exception):
    """The database cannot be read. The message says why, without the address: that has a password."""


async def read_tables(url: str, tables: Mapping[str, tuple[str, ...]]) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of tables, with those of the columns that exist. Absent tables are left out; the first column of
    each table must exist. Raises `DatabaseUnreadableError`."""
    scheme, separator, rest = url.partition("://")
    if not separator or scheme.partition("+")[0] not in ("postgresql", "postgres"):
        raise DatabaseUnreadableError("the address must begin with postgresql://")
    try:
        engine = create_async_engine(f"postgresql+asyncpg://{rest}")
    except ArgumentError:
        raise DatabaseUnreadableError(
            "the address is not one of PostgreSQL, postgresql://user:password@host/name"
        ) from None
    found: dict[str, list[dict[str, Any]]] = {}
    try:
        async with engine.connect() as connection:
            await connection.exec_driver_sql("SET TRANSACTION READ ONLY")
            present = await connection.run_sync(_columns, tuple(tables))
            for name, wanted in tables.items():
                columns = [one for one in wanted if one in present.get(name, ())]
                if wanted[0] in columns:
                    found[name] = await _rows(connection, name, columns)
    except (SQLAlchemyError, OSError) as error:
        reason = str(getattr(error, "orig", None) or error).partition("\n")[0]
        raise DatabaseUnreadableError(f"the database cannot be read: {reason}") from None
    finally:
        await engine.dispose()
    if not found:
        raise DatabaseUnreadableError(f"the database has none of the tables {', '.join(tables)}")
    return found


async def _rows(connection: AsyncConnection, name: str, columns: list[str]) -> list[dict[str, Any]]:
    wanted: list[Any] = [column(one) for one in columns]
    found = await connection.execute(select(*wanted).select_from(table(name)).order_by(wanted[0]))
    return [dict(row) for row in found.mappings()]


def _columns(connection: Any, names: tuple[str, ...]) -> dict[str, set[str]]:
    inspector = inspect(connection)
    present = set(inspector.get_table_names()) & set(names)
    return {name: {one["name"] for one in inspector.get_columns(name)} for name in present}
