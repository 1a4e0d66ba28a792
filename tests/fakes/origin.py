"""A provider that sends bytes chosen by the test, and a handler that records its calls."""

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from time import monotonic
from typing import Any, TypeVar

import uvloop

from fakes.clock import PATIENCE_S
from pointsman.domain.messages import Headers, UpstreamRequest
from pointsman.domain.network import Network
from pointsman.domain.origin import Origin
from pointsman.transport.deadlines import Deadlines
from pointsman.transport.errors import TransportFailure
from pointsman.transport.http_client import HttpClient
from pointsman.transport.leg import Leg
from pointsman.transport.resolver import Resolver
from pointsman.transport.room import Room

T = TypeVar("T")

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
GET = UpstreamRequest(b"GET", b"/", b"", b"")
POST = UpstreamRequest(b"POST", b"/v1/chat", b"Content-Type: application/json\r\n", b'{"a":1}')


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run `main` on a new uvloop, for at most `PATIENCE_S`. Fail for exceptions that only the loop would log."""
    unseen: list[dict[str, Any]] = []

    async def bounded() -> T:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: unseen.append(context))
        async with asyncio.timeout(PATIENCE_S):
            return await main

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        result = runner.run(bounded())
    assert not unseen, unseen
    return result


class Peer:
    """One connection, from the provider's side."""

    def __init__(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.number = number
        self._reader = reader
        self._writer = writer
        self.received = b""

    async def request(self) -> bytes:
        """Return the next request with its body, as received. Raise `EOFError` if there is none."""
        head = await self._until(b"\r\n\r\n")
        lower = head.lower()
        body = b""
        if b"transfer-encoding: chunked" in lower:
            body = await self._until(b"0\r\n\r\n")
        elif b"content-length: " in lower:
            size = int(lower.partition(b"content-length: ")[2].partition(b"\r\n")[0])
            body = await self._reader.readexactly(size)
            self.received += body
        return head + body

    async def _until(self, end: bytes) -> bytes:
        data = await self._reader.readuntil(end)
        self.received += data
        return data

    def send(self, *parts: bytes) -> None:
        self._writer.write(b"".join(parts))

    async def drain(self) -> None:
        await self._writer.drain()

    async def answer(self, *parts: bytes) -> bytes:
        """Read one request and send `parts`."""
        request = await self.request()
        self.send(*parts)
        return request

    def close(self) -> None:
        self._writer.close()

    def reset(self) -> None:
        """Reset the connection."""
        self._writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    async def wait_closed(self) -> bytes:
        """Wait until the other side ends the connection, and return its last bytes."""
        try:
            return await self._reader.read()
        except ConnectionError:
            return b""


Script = Callable[[Peer], Awaitable[None]]


class FakeOrigin:
    """A provider that runs a script for every connection. `peers` are the connections so far."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._tasks: set[asyncio.Task[Any]] = set()
        self.peers: list[Peer] = []
        self.origin = Origin("http", "127.0.0.1", 0)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        peer = Peer(len(self.peers), reader, writer)
        self.peers.append(peer)
        try:
            with contextlib.suppress(EOFError, ConnectionError, asyncio.CancelledError):
                await self._script(peer)
        finally:
            self._tasks.discard(task)
            writer.close()

    async def stop(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def serving(
    script: Script, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1", name: str | None = None
) -> AsyncIterator[FakeOrigin]:
    """Start a listening origin. `name` is the host in its address, if it differs from `host`."""
    fake = FakeOrigin(script)
    server = await asyncio.start_server(fake.serve, host, 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    fake.origin = Origin("http" if tls is None else "https", name or host, port)
    try:
        yield fake
    finally:
        server.close()
        await fake.stop()
        await server.wait_closed()


@contextlib.asynccontextmanager
async def connecting(
    network: Network | None = None,
    resolver: Resolver | None = None,
    room: Room | None = None,
    clock: Callable[[], float] = monotonic,
) -> AsyncIterator[HttpClient]:
    """Yield a client, and close it afterwards."""
    loop = asyncio.get_running_loop()
    deadlines = Deadlines(loop, resolution_s=0.01, clock=clock)
    client = HttpClient(loop, deadlines, network or Network(), resolver, room)
    try:
        yield client
    finally:
        await client.close()
        deadlines.close()


class Answer:
    """A handler of answers that records its calls and checks their order."""

    def __init__(self) -> None:
        self.status: int | None = None
        self.headers: Headers = {}
        self.pieces: list[bytes] = []
        self.failure: TransportFailure | None = None
        self.calls: list[str] = []
        self.is_over = False
        self.leg: Leg | None = None
        self._changed = asyncio.Event()

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)

    @property
    def failure_code(self) -> str | None:
        return None if self.failure is None else self.failure.kind.code

    def on_head(self, status: int, headers: Headers) -> None:
        assert self.status is None
        self.status = status
        self.headers = headers
        self._note("head")

    def on_data(self, data: bytes) -> None:
        assert self.status is not None
        assert data
        self.pieces.append(data)
        self._note("data")

    def on_end(self) -> None:
        assert self.status is not None
        self._note("end")
        self.is_over = True

    def on_failure(self, failure: TransportFailure) -> None:
        self.failure = failure
        self._note("failure")
        self.is_over = True

    def _note(self, call: str) -> None:
        assert not self.is_over, f"{call} after the end"
        self.calls.append(call)
        self._changed.set()

    async def until(self, condition: Callable[[], object]) -> None:
        while not condition():
            self._changed.clear()
            await self._changed.wait()

    async def finished(self) -> "Answer":
        await self.until(lambda: self.is_over)
        return self


def send(client: HttpClient, origin: Origin, request: UpstreamRequest = POST, timeout_s: float = PATIENCE_S) -> Answer:
    """Send `request`. The answer's `leg` carries it."""
    answer = Answer()
    answer.leg = client.send(origin, request, answer, monotonic() + timeout_s)
    return answer


async def ask(
    client: HttpClient, origin: Origin, request: UpstreamRequest = POST, timeout_s: float = PATIENCE_S
) -> Answer:
    """Send `request` and wait for the whole answer or its failure."""
    return await send(client, origin, request, timeout_s).finished()


async def exchange(reply: bytes, request: UpstreamRequest = GET, then_close: bool = False) -> Answer:
    """Return the result of one request that gets exactly `reply`."""

    async def script(peer: Peer) -> None:
        await peer.answer(reply)
        if not then_close:
            await peer.wait_closed()

    async with serving(script) as fake, connecting() as client:
        return await ask(client, fake.origin, request)
