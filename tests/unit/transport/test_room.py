"""The limit of open files, the errors of a shortage, and the limit of connections."""

import errno
import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from pointsman.transport.room import RESERVE, Room, are_files_used_up, is_shortage, raise_limit, share


@pytest.fixture(autouse=True)
def limit() -> Iterator[None]:
    """Restore the limit of this process after each test."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_limit_of_open_files_is_raised_to_the_hard_limit() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))
    assert raise_limit() == resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 512
    assert raise_limit() == resource.getrlimit(resource.RLIMIT_NOFILE)[0]


@pytest.mark.parametrize(("files", "connections"), [(20_000, (20_000 - RESERVE) // 2), (64, 24), (2, 1)])
def test_unreserved_files_are_shared_equally(files: int, connections: int) -> None:
    assert share(files) == connections


def test_shortage_of_files_is_distinguished_from_other_errors() -> None:
    assert is_shortage(OSError(errno.EMFILE, "too many open files"))
    assert not is_shortage(OSError(errno.ECONNREFUSED, "refused"))
    assert not are_files_used_up()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(
        resource.RLIMIT_NOFILE, (max(int(path.name) for path in Path("/proc/self/fd").iterdir()) + 1, hard)
    )
    files = []
    try:
        while not are_files_used_up():
            files.append(os.open(os.devnull, os.O_RDONLY))
    finally:
        for file in files:
            os.close(file)
    assert not are_files_used_up()


class FakePool:
    """A pool with `idle` idle connections."""

    def __init__(self, room: Room, idle: int) -> None:
        self.room = room
        self.idle = idle

    def close_idle(self) -> bool:
        if not self.idle:
            return False
        self.idle -= 1
        self.room.release()
        return True


def test_idle_connection_is_closed_at_the_limit() -> None:
    room = Room(2)
    assert [room.take(), room.take(), room.take()] == [True, True, False]
    assert (room.used, room.rejected) == (2, 1)
    room.pools[FakePool(room, 0)] = None
    room.pools[FakePool(room, 1)] = None
    assert [room.take(), room.take()] == [True, False]
    assert (room.used, room.rejected) == (2, 2)
