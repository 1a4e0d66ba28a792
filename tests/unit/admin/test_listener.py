"""Clients that hold connections open or send slowly block neither other clients nor control."""

import signal
import socket
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from starlette.applications import Starlette

from fakes.admin_api import served
from fakes.clock import PATIENCE_S
from pointsman.admin import listener

GET = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n"
POST = b"POST /api/v1/reconcile HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n"


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    with served(tmp_path, lambda _: None) as address:
        yield address


def connect(url: str) -> socket.socket:
    parts = urlsplit(url)
    return socket.create_connection((parts.hostname, parts.port), PATIENCE_S)


def is_well(url: str) -> bool:
    with urllib.request.urlopen(f"{url}/healthz", timeout=PATIENCE_S) as answer:
        return bool(answer.status == 200)


def is_ended(client: socket.socket) -> bool:
    """Return whether the other side closes the connection in time. Reads and drops all data."""
    client.settimeout(PATIENCE_S)
    try:
        while client.recv(4096):
            pass
    except ConnectionError:
        pass
    except TimeoutError:
        return False
    return True


@pytest.mark.parametrize("sent", [b"", b"G", GET, GET + b"\r\n" + GET])
def test_missing_head_closes_the_connection(sent: bytes, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "HEAD_S", 0.2)
    monkeypatch.setattr(listener, "KEEP_ALIVE_S", 0.2)
    with connect(url) as client:
        client.sendall(sent)
        if sent.startswith(GET + b"\r\n"):
            assert client.recv(4096).startswith(b"HTTP/1.1 200")
        assert is_ended(client)
    assert is_well(url)


def test_trickling_bytes_do_not_extend_the_deadline(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "HEAD_S", 0.3)
    with connect(url) as client:
        ends_at, is_open = time.monotonic() + PATIENCE_S, True
        while is_open and time.monotonic() < ends_at:
            time.sleep(0.02)
            try:
                client.sendall(b"G")
            except OSError:
                is_open = False
        assert not is_open
    assert is_well(url)


def test_missing_body_closes_the_connection(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "REQUEST_S", 0.2)
    with connect(url) as client:
        client.sendall(POST + b"{")
        assert is_ended(client)
    monkeypatch.undo()  # a busy machine may need longer for an honest request
    assert is_well(url)


@pytest.mark.parametrize(
    "head",
    [
        b"GET /" + b"x" * listener.MAX_HEAD_BYTES,
        GET + b"x: " + b"y" * listener.MAX_HEAD_BYTES,
        GET + b"x: y\r\n" * listener.MAX_HEAD_BYTES,
    ],
)
def test_oversized_head_is_rejected(head: bytes, url: str) -> None:
    with connect(url) as client:
        client.settimeout(PATIENCE_S)
        try:
            client.sendall(head)
            assert client.recv(4096).startswith(b"HTTP/1.1 4")
        except ConnectionError:
            pass  # it was ended before all was sent
    assert is_well(url)


def test_idle_connections_do_not_block_new_clients(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "MAX_CONNECTIONS", 20)
    held = [connect(url) for _ in range(60)]
    try:
        for client in held[::2]:
            client.sendall(b"GET /healthz HTTP/1.1\r\n")
        assert is_well(url)
        assert all(is_ended(client) for client in held[:30]), "the oldest connections are closed first"
    finally:
        for client in held:
            client.close()


def test_server_installs_no_signal_handlers() -> None:
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    with listener.server_of(Starlette()).capture_signals():
        assert {number: signal.getsignal(number) for number in handlers} == handlers
