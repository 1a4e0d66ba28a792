"""Helpers for tests that start processes."""

import asyncio
import os
import signal
import socket
from pathlib import Path
from time import monotonic, sleep

from fakes.clock import PATIENCE_S


async def watched(folder: Path, pid: int) -> None:
    """Wait until the kernel watches a folder for a process. The folder is identified by its inode."""
    inode = f" ino:{folder.stat().st_ino:x} "
    async with asyncio.timeout(PATIENCE_S):
        while not any(inode in _text(path) for path in Path(f"/proc/{pid}/fdinfo").iterdir()):
            await asyncio.sleep(0.005)


def freeze(pid: int) -> None:
    """Stop a process with SIGSTOP, and wait until none of its threads runs."""
    os.kill(pid, signal.SIGSTOP)
    ends_at = monotonic() + PATIENCE_S
    while not all(_state(thread) == "T" for thread in Path(f"/proc/{pid}/task").iterdir()):
        assert monotonic() < ends_at
        sleep(0.001)


def _state(thread: Path) -> str:
    return _text(thread / "stat").rpartition(") ")[2][:1] or "T"


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # the process has ended
        return ""


def free_ports(count: int) -> list[int]:
    """Return ports that were free a moment ago."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [sock.getsockname()[1] for sock in sockets]
    for sock in sockets:
        sock.close()
    return ports
