"""The task that deletes old requests: in steps of bounded time, with pauses."""

import asyncio
import logging
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest

from fakes.control import request_id
from fakes.ingestion import Ingestion
from integration.gateway import run
from pointsman.control import retention as module
from pointsman.control.retention import Retention
from pointsman.control.store.database import store_url
from pointsman.control.store.store import Batch, Store
from unit.control.store.test_store import request

DAY_S = 86_400


def retention(store: Store, **settings: Any) -> Retention:
    ingest: Any = Ingestion(Path("unused")).ingest
    ingest.store = store
    values: dict[str, Any] = {"requests_s": 5 * DAY_S, "requests_bytes": None, "minutes_s": 1e9, "state_s": lambda: 1e9}
    values |= {"prune_keys": lambda: asyncio.sleep(0), **settings}
    return Retention(ingest, **values)


def test_steps_take_a_bounded_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that took long is followed by a smaller one, and by a pause that is as long."""
    now = [0.0]
    sizes: list[int] = []
    pauses: list[float] = []

    async def step(count: int) -> int:
        sizes.append(count)
        now[0] += count * 0.001
        return count if len(sizes) < 12 else 0

    async def sleep(for_s: float) -> None:
        pauses.append(for_s)

    monkeypatch.setattr(module, "monotonic", lambda: now[0])
    monkeypatch.setattr(asyncio, "sleep", sleep)

    async def main() -> None:
        store = await Store.open(store_url(None, tmp_path))
        await retention(store)._in_steps(step)
        await store.close()

    run(main())
    assert sizes[0] == module.FIRST
    assert all(size * 0.001 <= module.STEP_S * 1.01 for size in sizes[1:])
    assert pauses == pytest.approx([max(0.02, size * 0.001) for size in sizes[:-1]])


def test_old_requests_are_deleted_and_others_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST", 50)

    async def main() -> None:
        store, now = await Store.open(store_url(None, tmp_path)), time.time()
        ages = [DAY_S * 9, DAY_S * 6, DAY_S * 4, 0]
        await store.commit(Batch(requests=[request(n, now - ages[n % 4] - n) for n in range(400)]))
        await retention(store).once(store)
        assert len(await store.requests({}, 1000)) == 200
        await retention(store, requests_bytes=1).once(store)
        left = [row["request_id"] for row in await store.requests({}, 1000)]
        assert left == sorted(left, reverse=True)
        assert all(one >= request_id(0, (now - 400) // 60 * 60) for one in left)
        await store.close()

    run(main())


def test_file_of_an_older_version_keeps_its_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """SQLite would have to write it anew. The log says so, once."""
    monkeypatch.setattr(module, "SPARE_PAGES", 0)
    with sqlite3.connect(tmp_path / "pointsman.db") as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE earlier (one INTEGER)")
        connection.execute("DROP TABLE earlier")
    connection.close()

    async def main() -> None:
        store, now = await Store.open(store_url(None, tmp_path)), time.time()
        await store.commit(Batch(requests=[request(n, now - DAY_S * 9) for n in range(400)]))
        keeper = retention(store)
        with caplog.at_level(logging.WARNING):
            await keeper.once(store)
            await keeper.once(store)
        assert not (await store.upkeep.space()).can_shrink
        await store.close()

    run(main())
    (message,) = [one.getMessage() for one in caplog.records]
    assert "does not shrink" in message
    assert "VACUUM" in message
