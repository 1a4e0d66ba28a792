"""The tasks of control beside ingestion."""

import asyncio
from pathlib import Path

from fakes.control import control_plane
from integration.gateway import run
from pointsman.control.background import start_work


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
