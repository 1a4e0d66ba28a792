"""The lock of a folder: its owner locks the file `lock` in it. The kernel releases it with the process."""

import fcntl
import os
from pathlib import Path


def is_locked(folder: Path) -> bool:
    """Return whether a living process has the lock of a folder. Raises `OSError` if that cannot be found out."""
    try:
        fd = os.open(folder / "lock", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: two that look at a time do not see each other
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False
