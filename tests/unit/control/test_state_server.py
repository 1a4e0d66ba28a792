"""Control's answers about stored objects: records of the store, and changes reported since."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from fakes.control import ControlPlane, control_plane, request_id, scope
from integration.gateway import run
from pointsman.control import state_server as module
from pointsman.control.ingest import Ingest
from pointsman.control.state_server import StateServer
from pointsman.control.store.database import StoreError
from pointsman.domain.leases import LeaseUnavailable
from pointsman.domain.state import GONE, MADE, SEEN, Change, Record
from pointsman.journal.records import StateRecord


def owned(name: str = "file-1", owner: str = "team:research", at: float = 0.0, provider: str = "openai") -> Record:
    return Record(id=name, kind="file", provider=provider, key="k", owner=owner, at=at or time.time())


def write(plane: ControlPlane, *changes: tuple[str, str, str], at: float | None = None, **fields: Any) -> None:
    at = time.time() if at is None else at
    of = scope(**fields)
    plane.writer.store(of, StateRecord(of.number, request_id(1, at), at, "k", changes))


def owners(found: list[Record] | LeaseUnavailable) -> list[str]:
    assert isinstance(found, list), found
    return sorted(record.owner for record in found)


def test_changes_in_a_journal_are_found(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            state_server = StateServer(plane.inquiry_handler.parts.ingest)
            write(plane, (MADE, "file", "file-1"), (SEEN, "file", "file-2"))
            write(plane, (MADE, "thread", "thread_1"), number=2, team=None)
            await plane.ingest()
            assert owners(await state_server.look_up(["file-1", "file-2", "thread_1", "file-3"])) == [
                "team:research", "team:research", "virtual_key:me",
            ]  # fmt: skip
            write(plane, (GONE, "", "file-1"))
            await plane.ingest()
            assert await state_server.look_up(["file-1"]) == []

    run(main())


def test_reported_changes_count_before_they_are_stored(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            state_server = StateServer(plane.inquiry_handler.parts.ingest)
            state_server.note([Change(MADE, owned("file-1"))])
            assert owners(await state_server.look_up(["file-1"])) == ["team:research"]
            write(plane, (MADE, "file", "file-2"))
            await plane.ingest()
            state_server.note([Change(SEEN, owned("file-2", "team:blue"))])  # it has an owner
            assert owners(await state_server.look_up(["file-2"])) == ["team:research"]
            state_server.note([Change(GONE, owned("file-2"))])
            assert await state_server.look_up(["file-2"]) == []
            state_server.note([Change(SEEN, owned("file-2", "team:blue"))])
            assert owners(await state_server.look_up(["file-2"])) == ["team:blue"]

    run(main())


def test_reported_changes_are_answered_without_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            state_server, store = (
                StateServer(plane.inquiry_handler.parts.ingest),
                plane.inquiry_handler.parts.ingest.store,
            )
            state_server.note([Change(MADE, owned("file-1")), Change(SEEN, owned("file-2"))])

            async def broken(_: object) -> list[Record]:
                raise StoreError("it is away")

            monkeypatch.setattr(store, "state", broken)
            assert owners(await state_server.look_up(["file-1"])) == ["team:research"]
            for ids in (["file-2"], ["file-3"], ["file-1", "file-3"]):  # what is seen may be another's
                found = await state_server.look_up(ids)
                assert isinstance(found, LeaseUnavailable)
                assert "it is away" in found.reason

    run(main())


def test_look_up_fails_before_the_journals_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        monkeypatch.setattr(module, "READ_S", 0.05)
        async with control_plane(tmp_path, is_read=False) as plane:
            state_server, ingest = StateServer(plane.inquiry_handler.parts.ingest), plane.inquiry_handler.parts.ingest
            assert isinstance(ingest, Ingest)
            assert isinstance(await state_server.look_up(["file-1"]), LeaseUnavailable)
            monkeypatch.setattr(module, "READ_S", 30)
            write(plane, (MADE, "file", "file-1"))
            waiting = asyncio.ensure_future(state_server.look_up(["file-1"]))
            await asyncio.sleep(0)
            await plane.ingest()
            assert owners(await waiting) == ["team:research"]

    run(main())


def test_number_of_remembered_changes_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        monkeypatch.setattr(module, "MAX_FRESH", 10)
        async with control_plane(tmp_path) as plane:
            state_server = StateServer(plane.inquiry_handler.parts.ingest)
            state_server.note([Change(MADE, owned(f"file-{number}")) for number in range(100)])
            assert len(state_server._fresh) == 10
            assert owners(await state_server.look_up(["file-99"])) == ["team:research"]

    run(main())
