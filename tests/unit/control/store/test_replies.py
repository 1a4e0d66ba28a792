"""Replies are kept for a day, in both databases."""

from pathlib import Path

import pytest

from integration.databases import database
from integration.gateway import run
from pointsman.control.store import replies
from pointsman.control.store.database import store_url
from pointsman.control.store.replies import KeyReusedError, Repeat, earlier_reply, keep_reply
from pointsman.control.store.store import Store

CALL = Repeat("admin-token one", "r")


async def check(url: str | None, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = await Store.open(store_url(url, folder))
    monkeypatch.setattr(replies, "time", lambda: 100.0)
    async with store.transaction() as connection:
        await keep_reply(connection, None, b"never")
        assert await earlier_reply(connection, None) is None
        assert await earlier_reply(connection, CALL) is None
        await keep_reply(connection, CALL, b"{}")
        assert await earlier_reply(connection, CALL) == "{}"
        assert await earlier_reply(connection, Repeat("admin-token two", "r")) is None
        with pytest.raises(KeyReusedError):
            await earlier_reply(connection, Repeat(CALL.key, "another"))
        monkeypatch.setattr(replies, "time", lambda: 101.0 + replies.KEEP_REPLIES_S)
        assert await earlier_reply(connection, CALL) is None
    await store.close()


def test_sqlite_keeps_replies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(check(None, tmp_path, monkeypatch))


def test_postgresql_keeps_replies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with database() as url:
            await check(url, tmp_path, monkeypatch)

    run(main())
