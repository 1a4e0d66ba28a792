"""An HTTP/1.1 server on asyncio protocols. `Handler` serves the requests; an `Exchange` is one of them."""

import asyncio
import socket
import ssl as tls
from contextlib import suppress
from functools import partial

from pointsman.transport._server_parts import Handler, Limits, Shared
from pointsman.transport.client_connection import ClientConnection
from pointsman.transport.deadlines import Deadlines
from pointsman.transport.http_exchange import Exchange
from pointsman.transport.http_head import BodyMode, Head

__all__ = ["BodyMode", "Exchange", "Handler", "Head", "HttpServer", "Limits"]

_BACKLOG = 2048
_FLUSH_S = 2.0  # after a drain, how long the last output to clients may take before they are disconnected


class HttpServer:
    """Accepts connections and gives their requests to `handler`. Call all methods in the thread of the event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, handler: Handler, limits: Limits, deadlines: Deadlines) -> None:
        self._loop = loop
        self._shared = Shared(loop, handler, limits, deadlines)
        self._servers: list[asyncio.Server] = []
        self._no_wait = asyncio.Event()  # set when no connection is left to drain, or the drain must end now
        self.port = 0  # of the first listening socket

    @property
    def connections(self) -> int:
        """Return the number of open connections, idle ones included."""
        return len(self._shared.connections)

    @property
    def requests(self) -> int:
        """Return the number of requests that the handler has and whose answer has not ended."""
        return self._shared.requests

    @property
    def body_memory(self) -> int:
        """Return the bytes of request bodies in memory, over all connections."""
        return self._shared.body_memory

    def forget_derived(self) -> None:
        """Drop the results that the handler computed from heads."""
        self._shared.memo.forget_derived()
        for connection in self._shared.connections:
            connection.forget_derived()

    async def listen(
        self,
        host: str | None = None,
        port: int | None = None,
        *,
        sock: socket.socket | None = None,
        ssl: tls.SSLContext | None = None,
    ) -> None:
        """Accept connections at an address, or on a bound socket, which the server then owns. Port 0 stands for any
        free port."""
        shared = self._shared
        timeout_s = shared.limits.head_timeout_s if ssl is not None else None
        create = partial(
            self._loop.create_server,
            partial(ClientConnection, shared),
            ssl=ssl,
            ssl_handshake_timeout=timeout_s,
            backlog=_BACKLOG,
        )
        server = await (create(host, port or 0) if sock is None else create(sock=sock))
        self._servers.append(server)
        self.port = self.port or server.sockets[0].getsockname()[1]

    def stop_accepting(self) -> None:
        """Close the listening sockets. Open connections are not affected."""
        for server in self._servers:
            server.close()

    async def drain(self, timeout_s: float) -> int:
        """Stop accepting, close idle connections, and wait for the answers in progress, each the last of its
        connection. After `timeout_s`, notify the handler of the requests that have not ended, and disconnect their
        clients. Return the number of these requests."""
        shared = self._shared
        self.stop_accepting()
        shared.is_draining = True
        await asyncio.sleep(
            0
        )  # let the event loop read arrived bytes: they may be a request on a connection that seems idle
        for connection in list(shared.connections):
            connection.retire()
        shared.on_empty = self._no_wait.set
        await self._empty(timeout_s)
        aborted = shared.requests
        for connection in list(shared.connections):
            connection.abort()
        self._no_wait.clear()
        await self._empty(_FLUSH_S)
        self.close()
        return aborted

    def shut_down_now(self) -> None:
        """End the wait of the present drain, or of the next one."""
        self._no_wait.set()

    async def _empty(self, timeout_s: float) -> None:
        """Wait until there are no connections."""
        if self._shared.connections:
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await self._no_wait.wait()

    def close(self) -> None:
        """Stop accepting, and close every connection at once."""
        self.stop_accepting()
        for connection in list(self._shared.connections):
            connection.cut()
