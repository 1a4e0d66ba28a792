"""The admin process reads the store beside its writer, and never creates or changes a file."""

from pathlib import Path

import pytest
from sqlalchemy.exc import SQLAlchemyError

from fakes.control import control_plane, request_id
from integration.gateway import run
from pointsman.control.store.database import StoreError, describe, store_url
from pointsman.control.store.reports import Reports, first_id


def test_commits_are_read_at_once_and_no_file_stays_open(tmp_path: Path) -> None:
    async def main() -> None:
        reports = Reports.of(store_url(None, tmp_path))
        with pytest.raises(StoreError, match="unable to open database file"):
            await reports.requests({}, 10)
        async with control_plane(tmp_path) as plane:
            for number in (1, 2):
                plane.write(number)
                await plane.ingest()
                assert len(await reports.requests({}, 10)) == number
        assert len(await reports.requests({}, 10)) == 2, "the writer has closed the store"
        opened = [one.resolve() for one in Path("/proc/self/fd").iterdir() if one.exists()]
        assert not [one for one in opened if one.is_relative_to(tmp_path.resolve()) and "pointsman.db" in one.name]
        await reports.close()

    run(main())


def test_path_may_have_any_characters(tmp_path: Path) -> None:
    """The path goes to SQLite as a URI."""

    async def main() -> None:
        folder = tmp_path / "a b?c=d%20#e"
        folder.mkdir()
        async with control_plane(folder) as plane:
            plane.write(1)
            await plane.ingest()
            assert len(await plane.services.store.requests({}, 10)) == 1

    run(main())


def test_reader_cannot_write(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            with pytest.raises(SQLAlchemyError, match="readonly"):
                async with plane.services.store._engine.begin() as connection:
                    await connection.exec_driver_sql("DELETE FROM requests")

    run(main())


def test_ids_sort_by_time() -> None:
    for at in (0.0, 1_764_000_000.123, 4e9):
        assert first_id(at) <= request_id(0, at) < first_id(at + 0.01)


def test_errors_are_one_line_without_the_statement() -> None:
    assert describe(OSError("first\nsecond")) == "OSError: first"
    assert describe(TimeoutError()) == "TimeoutError"
