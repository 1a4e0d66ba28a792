"""A server under test, with a scripted handler and a client that sends raw bytes."""

import asyncio
import socket
import ssl as tls
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any, NamedTuple, TypeVar

import uvloop

from fakes.clock import PATIENCE_S
from pointsman.domain.failures import Failure
from pointsman.transport.deadlines import Deadlines
from pointsman.transport.http_server import BodyMode, Exchange, Head, HttpServer, Limits

T = TypeVar("T")

LINES = b"X-Test: yes\r\n"
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def run(coroutine: Awaitable[T], loop_factory: Callable[[], Any] | None = uvloop.new_event_loop) -> T:
    async def bounded() -> T:
        async with asyncio.timeout(PATIENCE_S):
            return await coroutine

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        return runner.run(bounded())


def post(body: bytes, *lines: bytes, target: bytes = b"/") -> bytes:
    head = [b"POST %b HTTP/1.1" % target, b"Host: a", b"Content-Length: %d" % len(body), *lines]
    return b"\r\n".join(head) + b"\r\n\r\n" + body


def echo(exchange: Exchange) -> None:
    exchange.send(200, LINES, exchange.body)


class Recorder:
    """A handler that records exchanges and failures. `serve` handles a request; `mode` selects how bodies arrive."""

    def __init__(self, serve: Callable[[Exchange], None] = echo, mode: BodyMode = BodyMode.BUFFER) -> None:
        self.serve = serve
        self.mode = mode
        self.check_head: Callable[[Head], None] = lambda head: None
        self.exchanges: list[Exchange] = []
        self.accepted = 0
        self.failures: list[Failure] = []
        self.rejected: list[Head | None] = []
        self.disconnected = asyncio.Event()
        self.disconnects = 0
        self.arrived = asyncio.Event()

    def accept(self, head: Head) -> BodyMode:
        self.accepted += 1
        self.check_head(head)
        return self.mode

    def handle(self, exchange: Exchange) -> None:
        self.exchanges.append(exchange)
        exchange.on_cancel = self._disconnected
        self.serve(exchange)
        self.arrived.set()

    def compose_rejection(self, failure: Failure, head: Head | None, peer: str | None) -> tuple[int, bytes, bytes]:
        self.failures.append(failure)
        self.rejected.append(head)
        lines = b"Retry-After: 1\r\n" if failure.retry_after_s else b""
        return failure.kind.status, lines, failure.message.encode()

    def _disconnected(self) -> None:
        self.disconnects += 1
        self.disconnected.set()


def wait(exchange: Exchange) -> None:
    """Send no answer. The test answers later, or never."""


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


class Peer:
    """A client on a plain socket. `read_answer` reads one whole answer, framed by length or chunks."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.socket: socket.socket = writer.get_extra_info("socket")

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def read_answer(self, *, is_head: bool = False) -> Answer:
        lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[:-2]
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines[1:])}
        body = b""
        if headers.get("transfer-encoding") == "chunked" and not is_head:
            while size := int((await self.reader.readuntil(b"\r\n"))[:-2], 16):
                body += (await self.reader.readexactly(size + 2))[:-2]
            await self.reader.readexactly(2)
        elif not is_head:
            body = await self.reader.readexactly(int(headers.get("content-length", "0")))
        return Answer(int(lines[0].split()[1]), headers, body)

    async def ask(self, data: bytes) -> Answer:
        await self.send(data)
        return await self.read_answer()

    def finish(self) -> None:
        """Send FIN."""
        self.writer.close()

    def reset(self) -> None:
        """Send RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def is_ended(self) -> bool:
        """Wait for the server to end the connection; return true if it sent nothing more."""
        try:
            return await self.reader.read() == b""
        except ConnectionResetError:
            return True


class Served:
    def __init__(self, server: HttpServer, handler: Recorder, deadlines: Deadlines) -> None:
        self.server = server
        self.handler = handler
        self._deadlines = deadlines
        self._peers: list[Peer] = []

    async def connect(self, context: tls.SSLContext | None = None) -> Peer:
        name = "localhost" if context is not None else None
        reader, writer = await asyncio.open_connection("127.0.0.1", self.server.port, ssl=context, server_hostname=name)
        self._peers.append(Peer(reader, writer))
        return self._peers[-1]

    async def close(self) -> None:
        for peer in self._peers:
            peer.writer.transport.abort()
        self.server.close()
        while self.server.connections:
            await asyncio.sleep(0)
        self._deadlines.close()


@asynccontextmanager
async def serving(
    handler: Recorder | None = None,
    context: tls.SSLContext | None = None,
    clock: Callable[[], float] = monotonic,
    **limits: Any,
) -> AsyncIterator[Served]:
    loop = asyncio.get_running_loop()
    deadlines = Deadlines(loop, resolution_s=0.02, clock=clock)
    handler = handler or Recorder()
    server = HttpServer(loop, handler, Limits(**limits), deadlines)
    await server.listen("127.0.0.1", 0, ssl=context)
    served = Served(server, handler, deadlines)
    try:
        yield served
    finally:
        await served.close()
        assert (server.requests, server.body_memory) == (0, 0), "counted requests or memory were not released"


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition that has no event, such as the state of a kernel socket."""
    while not condition():
        await asyncio.sleep(0.001)
