"""The tasks of control beside ingestion."""

import asyncio
from pathlib import Path

import msgspec

from fakes.clock import PATIENCE_S
from fakes.control import control_plane, request_id
from integration.gateway import run
from pointsman.control.background import start_work
from pointsman.domain.bodies import FOLDER, KeptBodies


def test_tasks_run_until_they_are_cancelled(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            parts = plane.inquiry_handler.parts
            tasks = start_work(parts, parts.configuration.current.settings, lambda: 0.5)
            await asyncio.sleep(0)
            assert not any(task.done() for task in tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            assert all(task.cancelled() for task in tasks)

    run(main())


def test_bodies_are_read_beside_ingestion(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            await plane.ingest()
            parts = plane.inquiry_handler.parts
            settings = parts.configuration.current.settings
            tasks = start_work(parts, settings, lambda: 0.5)
            one = request_id(1, 4e9)
            folder = settings.data_dir / FOLDER
            folder.mkdir(parents=True)
            (folder / "1.jsonl").write_bytes(msgspec.json.encode(KeptBodies(request_id=one, at=4e9)) + b"\n")
            store = parts.ingest.store
            assert store is not None
            async with asyncio.timeout(PATIENCE_S):
                while not await store.bodies([one]):
                    await asyncio.sleep(0.05)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    run(main())
