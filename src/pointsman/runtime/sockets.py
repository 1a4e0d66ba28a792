"""The listening sockets of a gateway and the lock of its data folder, which outlive its processes."""

import errno
import fcntl
import os
import socket
import tempfile
from pathlib import Path

from msgspec import Struct

from pointsman.config.settings import Settings
from pointsman.runtime.listeners import listen, port_of


class SupervisorError(Exception):
    """The reason why the gateway cannot start."""


class Sockets(Struct):
    """The descriptors that outlive every child. `listen` has one list of sockets for each worker."""

    listen: list[list[int]]
    console: list[int]
    link: int
    link_path: str
    lock: int


def lock_data_dir(data_dir: Path) -> int:
    """Create the folder and lock it. Raises `SupervisorError` if another gateway has the lock."""
    try:
        data_dir.mkdir(parents=True, mode=0o700, exist_ok=True)
        fd = os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise SupervisorError(
            f"the data folder {data_dir} cannot be used: {error.strerror}; choose another folder with --data-dir or "
            "`data_dir`"
        ) from None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(fd, 32, 0).decode("ascii", "replace").strip() or "unknown"
        os.close(fd)
        raise SupervisorError(
            f"another gateway (pid {holder}) uses the data folder {data_dir}; stop it, or choose another folder with "
            "--data-dir or `data_dir`"
        ) from None
    os.ftruncate(fd, 0)
    os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
    return fd


def open_sockets(settings: Settings) -> Sockets:
    """Open every socket and the lock. Raises `SupervisorError`."""
    lock = lock_data_dir(settings.data_dir)
    field, address = "server.listen", settings.listen
    try:
        if address.port:  # otherwise another gateway could share it, as workers do
            for fd in listen(address.host, address.port, is_shared=False):
                os.close(fd)
        shared = [listen(address.host, address.port, is_shared=True)]
        port = port_of(shared[0][0])
        shared += [listen(address.host, port, is_shared=True) for _ in range(settings.workers - 1)]
        field, address = "console.listen", settings.console
        console = listen(address.host, address.port, is_shared=False)
    except OSError as error:
        os.close(lock)
        if error.errno == errno.EADDRINUSE:
            option = "--listen" if field == "server.listen" else "--console"
            raise SupervisorError(
                f"{field}: {address} is in use by another process; choose another address with {option} HOST:PORT "
                "(the demonstration: make run PORT=8090 CONSOLE_PORT=8091)"
            ) from None
        raise SupervisorError(f"{field}: cannot listen on {address}: {error.strerror or error}") from None
    # Not in the data folder, because the path of a Unix socket is limited to about a hundred characters.
    path = Path(tempfile.mkdtemp(prefix="pointsman-")) / "link"
    link = socket.socket(socket.AF_UNIX)
    link.bind(str(path))
    link.listen(64)
    return Sockets(shared, console, link.detach(), str(path), lock)
