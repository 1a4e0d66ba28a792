"""Bodies are stored once, read by their requests, and deleted by age, on both databases."""

from pathlib import Path

import pytest

from fakes.control import request_id
from integration.databases import database
from integration.gateway import run
from pointsman.control.store.bodies import add_bodies, prune_bodies
from pointsman.control.store.database import store_url
from pointsman.control.store.store import Store


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_bodies_are_stored_once_and_deleted_by_age(kind: str, tmp_path: Path) -> None:
    async def check(url: str | None) -> None:
        store = await Store.open(store_url(url, tmp_path))
        old, new = request_id(1, 1.7e9), request_id(2, 1.8e9)
        await add_bodies(store, [{"request_id": old, "bodies": b"1"}, {"request_id": new, "bodies": b"2"}])
        await add_bodies(store, [{"request_id": new, "bodies": b"3"}])
        assert await store.bodies([old, new, "x"]) == {old: b"1", new: b"2"}
        assert await prune_bodies(store, 1.75e9) == 1
        assert await store.bodies([old, new]) == {new: b"2"}
        await store.close()

    async def main() -> None:
        if kind == "sqlite":
            await check(None)
        else:
            async with database() as url:
                await check(url)

    run(main())
