"""Sockets that share an address get connections only while they listen."""

import os
import socket

import pytest

from pointsman.runtime.listeners import bind_same_address, listen, port_of, start_listening


def accept_all(fd: int) -> int:
    """Accept and close all pending connections of a socket. Return their number."""
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


def test_socket_gets_connections_after_it_starts_listening() -> None:
    (first,) = listen("127.0.0.1", 0, is_shared=True)
    port = port_of(first)
    (second,) = bind_same_address([first])
    assert port_of(second) == port
    connect(port, 40)
    assert accept_all(first) == 40
    start_listening([second])
    start_listening([second])
    connect(port, 60)
    assert accept_all(first) + accept_all(second) == 60
    os.close(first)
    (third,) = bind_same_address([second])
    connect(port, 20)
    assert accept_all(second) == 20
    os.close(second)
    with pytest.raises(ConnectionRefusedError):
        connect(port, 1)
    start_listening([third])
    connect(port, 5)
    assert accept_all(third) == 5
    os.close(third)
