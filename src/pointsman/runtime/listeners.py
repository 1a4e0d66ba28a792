"""Listening sockets: one for each worker at one address, so that the kernel distributes connections among them."""

import os
import socket
from collections.abc import Sequence
from typing import Any

BACKLOG = 2048


def listen(host: str, port: int, *, is_shared: bool) -> list[int]:
    """Return listening sockets for every address of a host, all at one port."""
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    fds: list[int] = []
    for family, _, _, _, address in dict.fromkeys(found):
        full = (address[0], port or (port_of(fds[0]) if fds else 0), *address[2:])
        _add(fds, family, full, is_shared=is_shared, is_open=True)
    return fds


def bind_beside(others: Sequence[int]) -> list[int]:
    """Return sockets that share the addresses of `others`. They get no connections until `open_to_all`, since their
    worker may fail to start."""
    fds: list[int] = []
    for other in others:
        with socket.socket(fileno=os.dup(other)) as sock:
            family, address = sock.family, sock.getsockname()
        _add(fds, family, address, is_shared=True, is_open=False)
    return fds


def open_to_all(fds: Sequence[int]) -> None:
    """Let the sockets get connections."""
    for fd in fds:
        with socket.socket(fileno=os.dup(fd)) as sock:
            sock.listen(BACKLOG)


def _add(fds: list[int], family: int, address: tuple[Any, ...], *, is_shared: bool, is_open: bool) -> None:
    """Append a socket at an address to `fds`. If that fails, close all of `fds`. Raises `OSError`."""
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if is_shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address)
        if is_open:
            sock.listen(BACKLOG)
    except OSError:
        sock.close()
        for fd in fds:
            os.close(fd)
        raise
    fds.append(sock.detach())


def port_of(fd: int) -> int:
    """Return the port of a listening socket."""
    with socket.socket(fileno=os.dup(fd)) as sock:
        return int(sock.getsockname()[1])
