"""The tables of resources and versions, in both databases."""

from pathlib import Path

from integration.databases import database
from integration.gateway import run
from pointsman.config.resource import Resource
from pointsman.control.store.database import store_url
from pointsman.control.store.resources import (
    ConfigVersion,
    ResourceChange,
    read_resources,
    rewrite_specs,
    write_version,
)
from pointsman.control.store.store import Store

TEXT = "\u2028<script>\U0001f642 ' \"; DROP TABLE resources; --"


def version(number: int, *changes: ResourceChange) -> ConfigVersion:
    return ConfigVersion(number=number, at=1.5, author="me", note=TEXT, digest="d", changes=list(changes))


async def check(url: str | None, folder: Path) -> None:
    store = await Store.open(store_url(url, folder))
    spec = {"labels": {"x": TEXT}, "budgets": [{"limit_usd": 0.1}]}
    one = Resource(kind="team", name="a", spec=spec, version=1, created_at=1.5, updated_at=2.5, author=TEXT)
    async with store.transaction() as connection:
        assert await read_resources(connection) == (0, [])
        await write_version(connection, version(1, ResourceChange(kind="team", name="a", after=spec)), [one])
    async with store.transaction() as connection:
        assert await read_resources(connection) == (1, [one])
        change = ResourceChange(kind="team", name="a", before=spec, after=None)
        await write_version(connection, version(2, change), [])
        assert await read_resources(connection) == (2, [])
    assert [found.number for found in await store.versions(10)] == [2, 1]
    assert (await store.versions(10, after=1)) == [version(2, change)]
    assert [found.number for found in await store.versions(10, before=2)] == [1]
    async with store.transaction() as connection:
        await rewrite_specs(connection, [], [version(1)])
    assert (await store.versions(1, before=2))[0].changes == []
    await store.close()


def test_sqlite_keeps_resources_and_versions(tmp_path: Path) -> None:
    run(check(None, tmp_path))


def test_postgresql_keeps_resources_and_versions(tmp_path: Path) -> None:
    async def main() -> None:
        async with database() as url:
            await check(url, tmp_path)

    run(main())
