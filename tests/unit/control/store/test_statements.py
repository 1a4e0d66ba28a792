"""A statement that is compiled once."""

from pathlib import Path

from sqlalchemy import insert

from pointsman.control.store.statements import Statement
from pointsman.control.store.store import Store
from pointsman.control.store.tables import STATE
from unit.control.store.test_store import STORES, on_store

ROW = {"id": "x", "provider": "a", "kind": "file", "provider_key": "k", "owner": "", "at": 1.0, "note": ""}


@STORES
def test_values_are_bound_by_column_name(kind: str, tmp_path: Path) -> None:
    async def check(store: Store) -> None:
        statement = Statement(store._engine, insert(STATE))
        async with store._engine.begin() as connection:
            await statement.run(connection, [dict(reversed(ROW.items())), {**ROW, "id": "y"}])
            await statement.run(connection, [])
        assert {one.id: one.kind for one in await store.state(["x", "y"])} == {"x": "file", "y": "file"}

    on_store(kind, tmp_path, check)
