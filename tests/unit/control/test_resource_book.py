"""Changes of resources are all or nothing, and the store and the configuration in force agree after a restart."""

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from fakes.control import control_plane, desk_in
from fakes.resources import CONFIG, UP, call, made
from integration.gateway import run
from pointsman.config.snapshot_file import read_accepted
from pointsman.control.parts import ControlParts
from pointsman.control.store.database import StoreError
from pointsman.control.store.store import Store


async def restarted(folder: Path, config: str = CONFIG) -> Any:
    """Return the parts of a new control process that has read the store, but whose snapshot has no resources."""
    parts = desk_in(folder, config=config).parts
    assert parts.configuration.current.resources == ()
    await parts.ingest.step()
    return parts


async def stop(parts: ControlParts) -> None:
    if parts.keys._catching_up is not None:  # it uses the store
        await asyncio.gather(parts.keys._catching_up, return_exceptions=True)
    await parts.keys.close()
    await parts.ingest.finish(1.0)


def test_next_control_process_puts_the_stored_resources_in_force(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path, config=CONFIG) as plane:
            await made(plane, "providers", "up", UP)
            await made(plane, "teams", "sales", {})
            present = plane.inquiry_handler.parts.book.present
            digest = plane.inquiry_handler.parts.configuration.digest
        parts = await restarted(tmp_path)
        assert (parts.book.present, parts.book.number) == (present, 2)
        assert parts.configuration.digest == digest
        assert read_accepted(tmp_path / "snapshot").resources == present
        await stop(parts)

    run(main())


def test_resources_that_the_file_has_now_too_leave_the_snapshot_in_force(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path, config=CONFIG) as plane:
            await made(plane, "teams", "sales", {})
        parts = await restarted(tmp_path, CONFIG.replace("teams: {", "teams: {sales: {}, "))
        assert parts.book.present == ()
        (problem,) = parts.configuration.rejected
        assert "the team 'sales' is in line 5 of the configuration file, and was also made by API on" in problem
        await stop(parts)

    run(main())


def test_change_that_the_store_does_not_take_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with control_plane(tmp_path, config=CONFIG) as plane:
            digest = plane.inquiry_handler.parts.configuration.digest

            def fail(_: Store, **_options: object) -> Any:
                raise StoreError("the disk is full")

            monkeypatch.setattr(Store, "transaction", fail)
            answer = await call(plane, "POST", "teams", {"name": "sales", "spec": {}})
            assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
            assert plane.inquiry_handler.parts.configuration.digest == digest
            monkeypatch.undo()
            await made(plane, "teams", "sales", {})

    run(main())


def test_snapshot_that_cannot_be_written_is_reported_and_made_up_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with control_plane(tmp_path, config=CONFIG) as plane:

            def fail(*_: object) -> None:
                raise OSError(28, os.strerror(28))

            monkeypatch.setattr("pointsman.control.configuration.write_snapshot", fail)
            answer = await call(plane, "POST", "teams", {"name": "sales", "spec": {}})
            assert (answer.status_code, answer.json()["code"]) == (503, "not_written")
            monkeypatch.undo()
        parts = await restarted(tmp_path)
        assert [one.name for one in parts.book.present] == ["sales"]
        await stop(parts)

    run(main())


def test_changes_wait_for_the_store(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path, config=CONFIG, is_read=False) as plane:
            answer = await call(plane, "POST", "teams", {"name": "sales", "spec": {}})
            assert (answer.status_code, answer.json()["detail"]) == (
                503,
                "the store cannot be used: the store is not open yet",
            ) or answer.json()["code"] == "store_unavailable"
            assert (await call(plane, "GET", "teams")).status_code == 200
            await plane.ingest()

    run(main())


def test_file_that_changes_keeps_the_resources(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path, config=CONFIG) as plane:
            await made(plane, "teams", "sales", {})
            configuration = plane.inquiry_handler.parts.configuration
            (tmp_path / "pointsman.yaml").write_text(CONFIG.replace("100", "200"))
            assert (await configuration.reload())[0]
            assert configuration.current.owners >= {"team:sales", "team:research"}
            (tmp_path / "pointsman.yaml").write_text(CONFIG.replace("teams: {", "teams: {sales: {}, "))
            is_taken, messages = await configuration.reload()
            assert not is_taken
            assert "was also made by API" in messages[0]
            await made(plane, "teams", "other", {})  # a faulty file does not keep others from working
            assert configuration.rejected == messages

    run(main())
