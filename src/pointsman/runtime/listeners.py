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
        with_port = (address[0], port or (port_of(fds[0]) if fds else 0), *address[2:])
        _add(fds, family, with_port, is_shared=is_shared, is_listening=True)
    return fds


def bind_same_address(others: Sequence[int]) -> list[int]:
    """Return sockets that share the addresses of `others`. They get no connections until `start_listening`, because
    their worker may fail to start."""
    fds: list[int] = []
    for other in others:
        with socket.socket(fileno=os.dup(other)) as sock:
            family, address = sock.family, sock.getsockname()
        _add(fds, family, address, is_shared=True, is_listening=False)
    return fds


def start_listening(fds: Sequence[int]) -> None:
    """Accept connections on sockets from `bind_same_address`. Listening sockets do not change."""
    for fd in fds:
        with socket.socket(fileno=os.dup(fd)) as sock:
            sock.listen(BACKLOG)


def _add(fds: list[int], family: int, address: tuple[Any, ...], *, is_shared: bool, is_listening: bool) -> None:
    """Append a socket at an address to `fds`. If that fails, close all of `fds`. Raises `OSError`."""
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if is_shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address)
        if is_listening:
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
