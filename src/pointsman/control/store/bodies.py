"""Writes the bodies of requests, and deletes old ones."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.dialects import postgresql, sqlite

from pointsman.control.store.reports import first_id
from pointsman.control.store.store import Store
from pointsman.control.store.tables import BODIES, Row


async def add_bodies(store: Store, rows: Sequence[Row]) -> None:
    """Store the bodies of some requests. Those of a request that has some already are left out. Raises `StoreError`."""
    insert: Any = sqlite.insert if store.is_sqlite else postgresql.insert
    async with store.transaction() as connection:
        await connection.execute(insert(BODIES).on_conflict_do_nothing(), list(rows))


async def prune_bodies(store: Store, older_than: float, at_most: int = 500) -> int:
    """Delete some of the bodies from before `older_than`, in Unix seconds. Return their number. Raises `StoreError`."""
    ids = select(BODIES.c.request_id).where(BODIES.c.request_id < first_id(older_than)).limit(at_most)
    async with store.transaction() as connection:
        result = await connection.execute(delete(BODIES).where(BODIES.c.request_id.in_(ids)))
    return int(result.rowcount)
