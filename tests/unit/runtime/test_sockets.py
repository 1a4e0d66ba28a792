"""A data folder and an address belong to one gateway, and errors name the address or the folder."""

import os
import socket
import tempfile
from pathlib import Path

import pytest
from msgspec.structs import replace

from fakes.configuration import OPEN, compiled
from pointsman.config.settings import Settings
from pointsman.runtime.listeners import port_of
from pointsman.runtime.sockets import SupervisorError, lock_data_dir, open_sockets

TEXT = f"""
providers: {{openai: env.OPENAI_API_KEY}}
server: {{listen: '127.0.0.1:0'}}
console: {{listen: '127.0.0.1:0'}}
{OPEN}
"""


def settings(folder: Path, workers: int = 1) -> Settings:
    return replace(compiled(TEXT).settings, data_dir=folder / "data", workers=workers)


def test_data_folder_belongs_to_one_gateway(tmp_path: Path) -> None:
    fd = lock_data_dir(tmp_path / "data")
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700
    with pytest.raises(SupervisorError, match=rf"another gateway \(pid {os.getpid()}\) uses the data folder"):
        lock_data_dir(tmp_path / "data")
    os.close(fd)
    os.close(lock_data_dir(tmp_path / "data"))


def test_unusable_data_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SupervisorError, match=r"the data folder .* cannot be used: "):
        lock_data_dir(tmp_path / "file" / "data")


def test_every_worker_has_its_own_socket_at_one_port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    sockets = open_sockets(settings(tmp_path, workers=3))
    ports = {port_of(fd) for fds in sockets.listen for fd in fds}
    assert len(ports) == 1
    assert len({fd for fds in sockets.listen for fd in fds}) == 3
    assert port_of(sockets.console[0]) not in ports
    assert Path(sockets.link_path).is_socket()
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", ports.pop()))
    for fd in (*(fd for fds in sockets.listen for fd in fds), *sockets.console, sockets.link, sockets.lock):
        assert not os.get_inheritable(fd)
        os.close(fd)


def test_address_in_use_is_an_error_and_releases_the_folder(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = settings(tmp_path)
        taken = replace(taken, console=replace(taken.console, port=other.getsockname()[1]))
        with pytest.raises(SupervisorError, match=f"console.listen: {taken.console} is in use by another process"):
            open_sockets(taken)
    os.close(lock_data_dir(tmp_path / "data"))


def test_address_that_another_process_shares_is_in_use(tmp_path: Path) -> None:
    one = settings(tmp_path)
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        for host in ("127.0.0.1", ""):
            taken = replace(one, listen=replace(one.listen, host=host, port=other.getsockname()[1]))
            with pytest.raises(SupervisorError, match=f"server.listen: {taken.listen} is in use by another process"):
                open_sockets(taken)


def test_error_names_an_address_that_cannot_be_bound(tmp_path: Path) -> None:
    one = settings(tmp_path)
    foreign = replace(one, listen=replace(one.listen, host="192.0.2.1"))
    with pytest.raises(SupervisorError, match=r"server.listen: cannot listen on 192.0.2.1:0: Cannot assign"):
        open_sockets(foreign)
