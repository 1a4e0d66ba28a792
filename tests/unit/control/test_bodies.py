"""Files of bodies are read into the store once, and wait while it is away."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from fakes.clock import PATIENCE_S
from fakes.control import request_id
from fakes.origin import run
from pointsman.control import bodies as module
from pointsman.control.bodies import BodyReader
from pointsman.control.store.bodies import prune_bodies
from pointsman.control.store.database import StoreError, store_url
from pointsman.control.store.store import Store
from pointsman.domain.bodies import KeptBodies

IDS = sorted(request_id(number, 1.7e9) for number in range(10))


def write(folder: Path, name: str, *ids: str, rest: bytes = b"") -> Path:
    folder.mkdir(exist_ok=True)
    lines = [msgspec.json.encode(KeptBodies(request_id=one, at=1.7e9, request="{}")) + b"\n" for one in ids]
    path = folder / name
    path.write_bytes(b"".join(lines) + rest)
    return path


def names(folder: Path) -> list[str]:
    return sorted(one.name for one in folder.iterdir())


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.01)


def test_files_are_read_once_and_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "POLL_S", 0.01)
    monkeypatch.setattr(module, "AT_ONCE", 3)
    folder = tmp_path / "bodies"

    async def main() -> None:
        store = await Store.open(store_url(None, tmp_path))
        is_away = True

        def opened() -> Store | None:
            return None if is_away else store

        running = asyncio.create_task(BodyReader(tmp_path, opened, lambda: 36500.0).run())
        write(folder, "1.jsonl", *IDS[:7], rest=b'{"cut')
        new = write(folder, "2.part", IDS[8])
        old = write(folder, "3.part", IDS[9], IDS[1])
        os.utime(old, (1.0, 1.0))
        await asyncio.sleep(0.05)
        assert len(names(folder)) == 3
        is_away = False
        await until(lambda: names(folder) == [new.name])
        found = await store.bodies(IDS)
        assert sorted(found) == [*IDS[:7], IDS[9]]
        assert msgspec.json.decode(found[IDS[3]], type=KeptBodies).request == "{}"
        assert await prune_bodies(store, 1.7e9 - 1) == 0
        assert await prune_bodies(store, 1.7e9 + 1) == 8
        assert await store.bodies(IDS) == {}
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await store.close()

    run(main())


def test_store_that_fails_is_logged_once_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "POLL_S", 0.01)
    folder = tmp_path / "bodies"

    async def main() -> None:
        store = await Store.open(store_url(None, tmp_path))
        running = asyncio.create_task(BodyReader(tmp_path, lambda: store, lambda: 36500.0).run())
        with monkeypatch.context() as patch:

            async def fail(*_: object) -> None:
                raise StoreError("it is away")

            patch.setattr(module, "add_bodies", fail)
            write(folder, "1.jsonl", "r-1")
            await asyncio.sleep(0.1)
            assert names(folder) == ["1.jsonl"]
        await until(lambda: not names(folder))
        assert list(await store.bodies(["r-1"])) == ["r-1"]
        assert caplog.text.count("it is away") == 1
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await store.close()

    run(main())
