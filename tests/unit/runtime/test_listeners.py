"""Sockets that share an address."""

import os
import socket

import pytest

from pointsman.runtime.listeners import bind_beside, listen, open_to_all, port_of


def served(fd: int) -> int:
    """How many connections wait there; they are taken and closed."""
    with socket.socket(fileno=os.dup(fd)) as sock:
        sock.setblocking(False)
        count = 0
        while True:
            try:
                sock.accept()[0].close()
            except BlockingIOError:
                return count
            count += 1


def connect(port: int, count: int) -> None:
    for _ in range(count):
        socket.create_connection(("127.0.0.1", port), timeout=5).close()


def test_a_socket_gets_connections_once_it_is_opened() -> None:
    (first,) = listen("127.0.0.1", 0, is_shared=True)
    port = port_of(first)
    (second,) = bind_beside([first])
    assert port_of(second) == port
    connect(port, 40)
    assert served(first) == 40
    open_to_all([second])
    open_to_all([second])
    connect(port, 60)
    assert served(first) + served(second) == 60
    os.close(first)
    (third,) = bind_beside([second])
    connect(port, 20)
    assert served(second) == 20
    os.close(second)
    with pytest.raises(ConnectionRefusedError):
        connect(port, 1)
    open_to_all([third])
    connect(port, 5)
    assert served(third) == 5
    os.close(third)
