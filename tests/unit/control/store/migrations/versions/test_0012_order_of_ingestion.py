"""The twelfth migration numbers requests; those of older versions are not followed."""

from pathlib import Path

import pytest

from fakes.control import record, request_id
from integration.databases import database
from integration.gateway import run
from pointsman.control.store.database import connect, migrate, store_url
from pointsman.control.store.store import Store
from pointsman.control.store.tables import REQUESTS
from unit.control.store.migrations.versions.test_0001_first_tables import at_version
from unit.control.store.migrations.versions.test_0008_variants_and_feedback import columns_of

OLD = "INSERT INTO requests (request_id, at, virtual_key, model, provider, status, nano, record) VALUES "


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_requests_of_older_versions_have_no_number(kind: str, tmp_path: Path) -> None:
    async def check(url: str | None) -> None:
        engine, id_ = connect(store_url(url, tmp_path)), request_id(1, 1.7e9)
        await at_version(engine, "0011")
        value = f"x'{record(id_, 1.7e9).hex()}'" if kind == "sqlite" else f"'\\x{record(id_, 1.7e9).hex()}'"
        async with engine.begin() as connection:
            await connection.exec_driver_sql(f"{OLD} ('{id_}', 1.7e9, 'me', 'chat', 'openai', 200, 7, {value})")
        await migrate(engine)
        async with engine.begin() as connection:
            found = await connection.run_sync(columns_of, REQUESTS.name)
            assert found == {column.name for column in REQUESTS.columns}
        store = Store(engine)
        assert await store.newest() == 0
        assert await store.stored_after(0, 9) == []
        assert await store.request(id_) is not None
        await store.close()

    async def main() -> None:
        if kind == "sqlite":
            await check(None)
        else:
            async with database() as url:
                await check(url)

    run(main())
