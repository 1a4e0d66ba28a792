"""A receiver of webhooks, or any other HTTP server that keeps its requests and fails on demand."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from msgspec import Struct


class Received(Struct):
    """One request. Names of headers are in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


class FakeReceiver:
    """The accepted requests. `mode` is the next answers: `ok`, `slow`, `cut`, `lying`, or a status. `check` returns the
    status for a request in the mode `ok`. A body longer than `most` bytes is too large."""

    def __init__(self) -> None:
        self.mode: str | int = "ok"
        self.most = 1 << 30
        self.tries = 0
        self.received: list[Received] = []
        self.check: Callable[[Received], int] = lambda _: 200
        self.answer_headers: dict[str, str] = {}
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def raw(self) -> bytes:
        """All bytes that were accepted."""
        return b"\n".join(repr((one.target, one.headers)).encode() + one.body for one in self.received)


@contextmanager
def receiving(port: int = 0) -> Iterator[FakeReceiver]:
    """Run a receiver on this port, or on a free one."""
    receiver = FakeReceiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", "0")))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status = _status(receiver, Received(self.command, self.path, headers, body))
            if status is None:
                self.close_connection = True
                return
            self.send_response(status)
            if receiver.mode == "lying":  # it promises more than it sends
                self.send_header("content-length", "1000")
                self.end_headers()
                self.close_connection = True
                return
            for name, value in receiver.answer_headers.items():
                self.send_header(name, value)
            self.send_header("content-length", "0")
            with suppress(ConnectionError):  # a slow answer comes too late; nobody may print that
                self.end_headers()

        do_PUT = do_GET = do_HEAD = do_DELETE = do_POST  # noqa: N815

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    receiver.port = server.server_port
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()


def _status(receiver: FakeReceiver, request: Received) -> int | None:
    """Return the status of the answer, `None` to break the connection."""
    receiver.tries += 1
    mode = receiver.mode
    if mode == "slow":
        time.sleep(8)
        return 503
    if mode == "cut":
        return None
    if mode == "lying":
        return 200
    if isinstance(mode, int):
        return mode
    if len(request.body) > receiver.most:
        return 413
    status = receiver.check(request)
    if status < 300:
        receiver.received.append(request)
    return status
