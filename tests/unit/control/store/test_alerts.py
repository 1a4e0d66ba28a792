"""Alerts and their messages: every change counts once, in SQLite and PostgreSQL."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from fakes.alerts import alert, message
from integration.databases import database
from integration.gateway import run
from pointsman.alerting.messages import message_of
from pointsman.control.store.alerts import AlertQueries, AlertTable
from pointsman.control.store.database import store_url
from pointsman.control.store.store import Store


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_every_change_is_written_once(kind: str, tmp_path: Path) -> None:
    async def check(url: str | None) -> None:
        store = await Store.open(store_url(url, tmp_path))
        table, queries = AlertTable(store), AlertQueries(store.rows)
        one, two = alert(1), alert(2)
        assert await table.write([one], [], [message(1)]) == [message(1)]
        assert await table.write([one], [], [message(1)]) == []
        assert await table.write([one, two], [], [message(1, 2)]) == [message(2, at=1000.0)]
        assert [found.id for found in await queries.firing(9)] == ["id-2", "id-1"]
        over = replace(one, ended_at=2000.0)
        ended = message_of("ops", "ended", [over], 2000.0)
        assert await table.write([], [over], [ended]) == [ended]
        assert await table.write([], [replace(over, ended_at=3000.0)], [ended]) == []
        assert [found.id for found in await queries.firing(9)] == ["id-2"]
        assert len(await queries.firing(9, ended_after=1999.0)) == 2
        assert (await queries.one("id-1")) == over
        assert (await queries.one("id-9")) is None
        await store.close()

    async def main() -> None:
        if kind == "sqlite":
            await check(None)
        else:
            async with database() as url:
                await check(url)

    run(main())


def test_messages_wait_for_their_end_by_channel(tmp_path: Path) -> None:
    async def main() -> None:
        store = await Store.open(store_url(None, tmp_path))
        table, queries = AlertTable(store), AlertQueries(store.rows)
        messages = [message(1, at=2.0), message(1, channel="chat"), message(2, at=1.0)]
        await table.write([alert(1), alert(2)], [], messages)
        assert [one.id for one in await queries.messages("ops", 9)] == [messages[2].id, messages[0].id]
        await table.end_message(messages[2].id, 5.0, "delivered", "")
        assert await queries.messages("ops", 9) == [messages[0]]
        assert await queries.messages("chat", 9) == [messages[1]]
        await store.close()

    run(main())


def test_history_has_pages_and_a_rule_and_ended_alerts_are_deleted(tmp_path: Path) -> None:
    async def main() -> None:
        store = await Store.open(store_url(None, tmp_path))
        table, queries = AlertTable(store), AlertQueries(store.rows)
        every = [
            alert(number, rule="odd" if number % 2 else "even", fired_at=float(number // 2)) for number in range(9)
        ]
        await table.write(every, [], [])
        seen, before = [], None
        while page := await queries.past(2, before=before):
            seen += page
            before = page[-1]
        assert sorted(one.id for one in seen) == sorted(one.id for one in every)
        assert [one.fired_at for one in seen] == sorted((one.fired_at for one in every), reverse=True)
        assert {one.rule for one in await queries.past(9, "odd")} == {"odd"}
        await table.write([], [replace(one, ended_at=50.0) for one in every[:4]], [])
        await table.prune(51.0)
        assert len(await queries.past(9)) == 5
        await store.close()

    run(main())
