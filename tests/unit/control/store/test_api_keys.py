"""Keys made by API in the store: pages by name, filters, scopes, and one transaction for each change."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from integration.databases import database
from integration.gateway import run
from pointsman.control.store.api_keys import KeyQuery
from pointsman.control.store.database import StoreError, store_url
from pointsman.control.store.store import Store
from pointsman.control.store.tables import Row

NOW = 1000.0


def row(name: str, **fields: Any) -> Row:
    plain = dict.fromkeys(("hint", "team", "customer", "parent", "note", "previous_digest"), "")
    times = {"created_at": 1.0, "changed_at": 1.0, "expires_at": None, "previous_until": None}
    own = {"name": name, "digest": f"d-{name}", "settings": "{}", "is_enabled": 1, "created_by": "me"}
    return {**plain, **times, **own, **fields}


def on_both(check: Callable[[Store], Awaitable[None]], folder: Path, kind: str) -> None:
    async def main() -> None:
        if kind == "sqlite":
            await with_store(None)
        else:
            async with database() as url:
                await with_store(url)

    async def with_store(url: str | None) -> None:
        store = await Store.open(store_url(url, folder))
        try:
            await check(store)
        finally:
            await store.close()

    run(main())


KEYS = [
    row("app", team="red", customer="acme", hint="pm-abc"),
    row("Batch_1", team="blue", is_enabled=0),
    row("kid", team="red", customer="acme", parent="app", expires_at=500.0),
    row("other%x", expires_at=2000.0),
]


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_keys_are_listed_by_filters(kind: str, tmp_path: Path) -> None:
    async def check(store: Store) -> None:
        await store.api_keys.write(KEYS, [], [])

        async def names(**filters: Any) -> set[str]:
            return {one["name"] for one in await store.rows(KeyQuery(limit=9, **filters).statement(NOW))}

        assert await names() == {"app", "Batch_1", "kid", "other%x"}
        assert await names(team="red") == {"app", "kid"}
        assert await names(parent="app") == await names(state="expired") == {"kid"}
        assert await names(state="disabled") == await names(text="batch_") == {"Batch_1"}
        assert await names(state="active") == {"app", "other%x"}
        assert await names(text="%") == await names(hint="d-other") == {"other%x"}
        assert await names(hint="pm-a") == {"app"}
        assert await names(owners={"team": ["blue"], "virtual_key": ["app"]}) == {"app", "Batch_1", "kid"}
        assert await names(owners={"customer": ["acme"]}) == {"app", "kid"}
        assert await names(owners={"team": []}) == set()

    on_both(check, tmp_path, kind)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_pages_have_every_key_once(kind: str, tmp_path: Path) -> None:
    async def check(store: Store) -> None:
        await store.api_keys.write([row(f"key-{number}") for number in range(25)], [], [])
        found: list[str] = []
        while page := await store.rows(KeyQuery(limit=10, after=found[-1] if found else "").statement(NOW)):
            found += [one["name"] for one in page]
        assert len(found) == len(set(found)) == 25
        assert [one["name"] async for one in store.api_keys.every()] == found

    on_both(check, tmp_path, kind)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_change_is_whole_or_nothing_and_has_a_higher_number(kind: str, tmp_path: Path) -> None:
    async def check(store: Store) -> None:
        first, second = await store.api_keys.write([row("a"), row("b")], [], [])
        assert second["changed"] == first["changed"] + 1
        extent = await store.api_keys.extent(1000)
        with pytest.raises(StoreError):
            await store.api_keys.write([row("c", digest="d-a")], [], ["b"])
        assert await store.api_keys.get("b") is not None
        assert await store.api_keys.extent(1000) == extent
        (changed,) = await store.api_keys.write([], [{**first, "note": "x", "previous_digest": "d-0"}], ["b"])
        assert changed["changed"] > second["changed"]
        found = await store.api_keys.get("a")
        assert found is not None
        assert found["note"] == "x"
        assert await store.api_keys.taken("d-0") == "a"
        assert await store.api_keys.taken("d-b") is None

    on_both(check, tmp_path, kind)


def test_expired_children_are_found_and_other_keys_are_not(tmp_path: Path) -> None:
    async def check(store: Store) -> None:
        await store.api_keys.write([*KEYS, row("old", expires_at=5.0)], [], [])
        assert await store.api_keys.over(600.0, 9) == ["kid"]
        assert [one["name"] for one in await store.api_keys.children("app")] == ["kid"]

    on_both(check, tmp_path, "sqlite")


def test_keys_that_expire_are_found_without_children(tmp_path: Path) -> None:
    async def check(store: Store) -> None:
        more = [row("off", expires_at=1500.0, is_enabled=0), row("soon", expires_at=1200.0, team="red")]
        await store.api_keys.write([*KEYS, *more], [], [])
        found = await store.api_keys.expiring(400.0, 2000.0, 9)
        assert [(one["name"], one["team"], one["expires_at"]) for one in found] == [
            ("soon", "red", 1200.0),
            ("other%x", "", 2000.0),
        ]
        assert len(await store.api_keys.expiring(400.0, 2000.0, 1)) == 1
        assert not await store.api_keys.expiring(1200.0, 1999.0, 9)

    on_both(check, tmp_path, "sqlite")


def test_keys_follow_a_team_to_its_customer(tmp_path: Path) -> None:
    async def check(store: Store) -> None:
        await store.api_keys.write(KEYS, [], [])
        extent = await store.api_keys.extent(1000)
        await store.api_keys.move_teams({"red": "other"})
        found = await store.rows(KeyQuery(limit=9, customer="other").statement(NOW))
        assert [one["name"] for one in found] == ["app", "kid"]
        assert await store.api_keys.extent(1000) == extent

    on_both(check, tmp_path, "sqlite")
