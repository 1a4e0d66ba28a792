"""The fourth migration keeps existing rows, and distinguishes reserved amounts from reported ones."""

from pathlib import Path

import pytest
from sqlalchemy import text

from integration.databases import database
from integration.gateway import run
from pointsman.control.store.database import connect, migrate, store_url
from unit.control.store.migrations.versions.test_0001_first_tables import at_version

_OLD = (
    "INSERT INTO usage VALUES (3600, 'me', '', '', 'openai', 'gpt-4o', '', 1, 1, 0, 0, 0, 0, 70, 50, 0)",
    "INSERT INTO unsettled VALUES ('r-1', 3601, 'me', 'openai', 'gpt-4o', 50, 9)",
)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_reserved_amounts_stay_reserved(kind: str, tmp_path: Path) -> None:
    async def check(url: str | None) -> None:
        engine = connect(store_url(url, tmp_path))

        async def row(query: str) -> tuple[object, ...]:
            async with engine.begin() as connection:
                return tuple((await connection.execute(text(query))).one())

        await at_version(engine, "0003")
        async with engine.begin() as connection:
            for statement in _OLD:
                await connection.exec_driver_sql(statement)
        await migrate(engine)
        assert await row("SELECT nano, reserved_nano, estimated_nano, held_nano FROM usage") == (70, 50, 0, 0)
        assert await row("SELECT nano, state, counters FROM unsettled") == (50, "kept", "[]")
        await engine.dispose()

    async def main() -> None:
        if kind == "sqlite":
            await check(None)
        else:
            async with database() as url:
                await check(url)

    run(main())
