"""The console's connections, bounded in time and number so that no client exhausts the admin process.

A head must be complete within `HEAD_S`, and be no larger than `MAX_HEAD_BYTES`. A request with its body and its answer
may take `REQUEST_S`. Beyond `MAX_CONNECTIONS`, the connection that has waited longest without a request is closed. So
idle connections do not keep others out.
"""

import asyncio
import logging
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

HEAD_S = 10.0
REQUEST_S = 120.0
KEEP_ALIVE_S = 15
MAX_CONNECTIONS = 256
MAX_HEAD_BYTES = 16 * 1024


class GuardedProtocol(H11Protocol):
    """A connection with a timer: for the next head, and then for the whole request."""

    _timer: asyncio.TimerHandle | None = None
    is_asked = False  # a request is being read or answered
    since = 0.0
    _has_answered = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        if len(self.connections) >= MAX_CONNECTIONS:
            waiting = [one for one in self.connections if isinstance(one, GuardedProtocol) and not one.is_asked]
            if not waiting:
                transport.abort()
            else:
                oldest = min(waiting, key=lambda one: one.since)
                self.connections.discard(oldest)
                oldest.transport.abort()
        super().connection_made(transport)
        self._watch(is_asked=False)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        cycle: RequestResponseCycle | None = self.cycle  # absent before the first head
        is_asked = cycle is not None and not cycle.response_complete
        if is_asked != self.is_asked:
            self._watch(is_asked=is_asked)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._has_answered = True
        self._watch(is_asked=False)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._timer is not None:
            self._timer.cancel()

    def _watch(self, *, is_asked: bool) -> None:
        """Start the timer: for a head, or for the end of a request."""
        if self._timer is not None:
            self._timer.cancel()
        self.is_asked, self.since = is_asked, monotonic()
        within_s = REQUEST_S if is_asked else max(HEAD_S, KEEP_ALIVE_S) if self._has_answered else HEAD_S
        self._timer = self.loop.call_later(within_s, self.transport.abort)


class Server(uvicorn.Server):
    """Leaves the process's signals to the gateway."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def server_of(app: ASGIApp, tls: ssl.SSLContext | None = None, **settings: Any) -> Server:
    """Return a server for an application, with guarded connections."""
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # it would write a line for every malformed request
    config = uvicorn.Config(
        app,
        http=GuardedProtocol,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # `admin.logins` reads them, from trusted proxies only
        lifespan="off",
        loop="none",
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=2,
        h11_max_incomplete_event_size=MAX_HEAD_BYTES,
        **settings,
    )
    config.load()
    config.ssl = tls
    return Server(config)
