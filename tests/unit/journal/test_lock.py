"""The lock of a folder tells whether its owner lives."""

import fcntl
import os
from pathlib import Path

import pytest

from pointsman.journal.lock import is_locked


def test_folder_is_locked_as_long_as_its_owner_lives(tmp_path: Path) -> None:
    assert not is_locked(tmp_path / "none")
    assert not is_locked(tmp_path)
    fd = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    assert not is_locked(tmp_path)
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert is_locked(tmp_path)
    os.close(fd)
    assert not is_locked(tmp_path)


def test_observers_do_not_take_each_other_for_the_owner(tmp_path: Path) -> None:
    fd = os.open(tmp_path / "lock", os.O_RDONLY | os.O_CREAT, 0o600)
    fcntl.flock(fd, fcntl.LOCK_SH)
    assert not is_locked(tmp_path)
    os.close(fd)


def test_lock_that_cannot_be_opened_is_an_error(tmp_path: Path) -> None:
    """The owner may be alive all the same: control would give up the journal of a worker."""
    (tmp_path / "lock").symlink_to("lock")
    with pytest.raises(OSError, match="lock"):
        is_locked(tmp_path)
