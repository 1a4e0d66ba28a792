"""The parts of a server besides its connections: limits, the handler it serves, and the state that connections
share."""

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from msgspec import Struct

from pointsman.domain.failures import Failure
from pointsman.transport.deadlines import Deadlines, Expiring
from pointsman.transport.http_exchange import Exchange
from pointsman.transport.http_head import BodyMode, Head, HeadMemo

_logger = logging.getLogger(__name__)


class Limits(Struct, frozen=True, kw_only=True):
    """The limits on clients. `body_memory_bytes` is for all connections together. `body_bytes` bounds bodies that are
    collected, `streamed_body_bytes` those that are streamed. `head_timeout_s` bounds the time from the first byte of a
    head, or from the start of the connection, to the last byte of the head. `body_timeout_s` bounds the time without a
    byte of an unfinished body. `write_timeout_s` bounds the time in which a client reads nothing of its answer. If more
    than `write_buffer_bytes` of output wait for one client, `Exchange.write` returns false. `pipeline_bytes` may arrive
    ahead while a request is served; if a client sends more, its connection is closed."""

    head_bytes: int = 65536
    header_count: int = 100
    body_bytes: int = 50 << 20
    streamed_body_bytes: int = 1 << 30
    body_memory_bytes: int = 1 << 30
    head_timeout_s: float = 10.0
    body_timeout_s: float = 60.0
    idle_timeout_s: float = 75.0
    write_timeout_s: float = 60.0
    write_buffer_bytes: int = 256 << 10
    pipeline_bytes: int = 256 << 10
    max_connections: int = 10_000


class Handler(Protocol):
    """The code that answers the requests of a server."""

    def accept(self, head: Head) -> BodyMode:
        """Decide from the head alone if the body is collected or streamed. Raise `Rejection` to answer before the body
        is read.

        The result is cached with the head, so it must depend on nothing else. If a request with a cached head arrives
        in one read, it is handled without this call. So `handle` must also reject everything that is rejected here.
        """

    def handle(self, exchange: Exchange) -> None:
        """Serve a request. Its body is complete, or with `BodyMode.STREAM` it can be read. Must not raise."""

    def compose_rejection(self, failure: Failure, head: Head | None, peer: str | None) -> tuple[int, bytes, bytes]:
        """Return the status, the header lines (each ends with CRLF) and the body for a request that the server or
        `accept` has rejected, so `handle` is not called. `head` is `None` if no complete head was read. `peer` is the
        client's address."""


def compose_rejection(
    handler: Handler, failure: Failure, head: Head | None, peer: str | None
) -> tuple[int, bytes, bytes]:
    """Return the rejection that the handler composes, or a substitute if it raises."""
    try:
        return handler.compose_rejection(failure, head, peer)
    except Exception:  # a rejection without a message is better than none
        _logger.exception("the handler raised an exception while it composed a rejection")
        return 500, b"", b""


class ServerConnection(Expiring, Protocol):
    """The interface of a client's connection that its exchanges and the server use."""

    write_due: float

    def expire_at(self, deadline: float, *, may_extend: bool = True) -> None: ...
    def set_reading(self, *, is_wanted: bool) -> None: ...
    def reset(self) -> None: ...
    def cut(self) -> None: ...
    def close(self) -> None: ...
    def linger(self) -> None: ...
    def retire(self) -> None: ...
    def forget_derived(self) -> None: ...
    def abort(self) -> None: ...


class Shared:
    """The parts and gauges that the connections of one server share."""

    def __init__(self, loop: asyncio.AbstractEventLoop, handler: Handler, limits: Limits, deadlines: Deadlines) -> None:
        self.loop = loop
        self.handler = handler
        self.limits = limits
        self.deadlines = deadlines
        self.clock = deadlines.clock
        self.memo = HeadMemo(limits.header_count)
        self.connections: set[ServerConnection] = set()
        self.requests = 0  # in progress: the handler has them, and their answers have not ended
        self.body_memory = 0  # bytes
        self.is_draining = False
        self.on_empty: Callable[[], None] | None = None
