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
    collected, `streamed_body_bytes` those that are not. `head_timeout_s` bounds the time from the first byte of a head
    (or from the connection's begin) to its last. `body_timeout_s` bounds the silence while a body is awaited, and
    `write_timeout_s` that while a client takes none of its answer. `write_buffer_bytes` is the output held for one
    client above which `Exchange.write` returns false. `pipeline_bytes` may be read ahead while a request is served: a
    client that sends more is cut off."""

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
    """Serves the requests."""

    def accept(self, head: Head) -> BodyMode:
        """Return how the body is wanted, from the head alone. Raises `Rejection` to answer before the body is read.

        The result is cached with the head, so it must depend on nothing else. A request that arrives whole in one read
        is handled without another call. So `handle` must reject everything that is rejected here.
        """

    def handle(self, exchange: Exchange) -> None:
        """Serve a request: its body is there, or (`BodyMode.STREAM`) can be read. Must not raise."""

    def refuse(self, failure: Failure, head: Head | None, peer: str | None) -> tuple[int, bytes, bytes]:
        """Return status, header lines each ended by CRLF, and body for a request that `handle` never sees. The server
        or `accept` has rejected it. `head` is `None` if no whole head was read; `peer` is the client's address."""


def worded(handler: Handler, failure: Failure, head: Head | None, peer: str | None) -> tuple[int, bytes, bytes]:
    """Return the result of the handler's `refuse`, or a substitute if it raises."""
    try:
        return handler.refuse(failure, head, peer)
    except Exception:  # a refusal without a message is better than none
        _logger.exception("the handler raised an exception while it composed a rejection")
        return 500, b"", b""


class ClientLine(Expiring, Protocol):
    """A client's connection, as its exchanges and the server see it."""

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
    """The parts and gauges that the connections of one server have in common."""

    def __init__(self, loop: asyncio.AbstractEventLoop, handler: Handler, limits: Limits, deadlines: Deadlines) -> None:
        self.loop = loop
        self.handler = handler
        self.limits = limits
        self.deadlines = deadlines
        self.clock = deadlines.clock
        self.memo = HeadMemo(limits.header_count)
        self.connections: set[ClientLine] = set()
        self.requests = 0  # handed to the handler and not yet answered to the end
        self.body_memory = 0  # bytes
        self.is_draining = False
        self.on_empty: Callable[[], None] | None = None
