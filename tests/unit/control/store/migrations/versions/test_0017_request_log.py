"""The seventeenth migration fills the new columns of stored requests from their records, and sums by day."""

from pathlib import Path

import pytest

from fakes.control import record, request_id
from integration.databases import database
from integration.gateway import run
from pointsman.control.store.database import connect, migrate, store_url
from pointsman.control.store.log_queries import RequestFilter
from pointsman.control.store.reports import Rows
from pointsman.control.store.store import Store
from unit.control.store.migrations.versions.test_0001_first_tables import at_version

COLUMNS = "request_id, at, virtual_key, model, provider, status, nano, record"
COSTS = (0, 1, 7, 8, 2**40, 2**62)
DAY = 20_000 * 86_400


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_stored_requests_are_found_by_the_new_filters(kind: str, tmp_path: Path) -> None:
    async def check(url: str | None) -> None:
        engine = connect(store_url(url, tmp_path))
        await at_version(engine, "0016")
        async with engine.begin() as connection:
            for number, nano in enumerate(COSTS):
                one, at = request_id(number, DAY + number), DAY + number
                line = record(one, at, code="broken", session="s" if number else None, duration_us=3 << number)
                value = f"x'{line.hex()}'" if kind == "sqlite" else f"'\\x{line.hex()}'"
                values = f"'{one}', {at}, 'me', 'chat', 'openai', 500, {nano}, {value}"
                await connection.exec_driver_sql(f"INSERT INTO requests ({COLUMNS}) VALUES ({values})")
            for hour in (0, 3600, 86_400):
                names = "'me', '', '', 'openai', 'gpt-4o', ''"
                await connection.exec_driver_sql(
                    f"INSERT INTO usage VALUES ({DAY + hour}, {names}, 1, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0)"
                )
        await migrate(engine)
        store = Store(engine)
        ids = [request_id(number, DAY + number) for number in range(len(COSTS))][::-1]

        async def found(**chosen: object) -> list[int]:
            page = await store.log.page(RequestFilter(**chosen), 99)  # type: ignore[arg-type]
            return [ids.index(row["request_id"]) for row in page.rows]

        assert await found(least_nano=8) == [0, 1, 2]
        assert await found(least_nano=2, most_nano=7) == [3]
        assert await found(least_us=3 << 4) == [0, 1]
        assert await found(equal={"session": "s", "team": "research"}) == [0, 1, 2, 3, 4]
        assert await found(is_failed=True) == [0, 1, 2, 3, 4, 5]
        rows = await store.usage(["day"], {}, Rows(DAY, DAY + 2 * 86_400))
        assert [(row["day"] - DAY, row["nano"]) for row in rows] == [(0, 10), (86_400, 5)]
        assert await store.upkeep.oldest_within(1) > 0, "their sizes are known"
        await store.close()

    async def main() -> None:
        if kind == "sqlite":
            await check(None)
        else:
            async with database() as url:
                await check(url)

    run(main())
