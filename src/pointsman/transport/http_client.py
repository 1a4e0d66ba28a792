"""The HTTP/1.1 client of the data plane, with callbacks and a pool for each origin. A request on an open connection
costs no task and no future."""

import asyncio

from pointsman.domain.messages import UpstreamRequest
from pointsman.domain.network import Network
from pointsman.domain.origin import Origin
from pointsman.transport.connector import Connector
from pointsman.transport.deadlines import Deadlines
from pointsman.transport.leg import Leg, ResponseHandler, UploadLeg
from pointsman.transport.pool import OriginPool, PoolGauges
from pointsman.transport.resolver import Resolver
from pointsman.transport.room import Room


class HttpClient:
    """Sends requests over one egress path, with a pool of connections for each origin.

    Create it inside the event loop that it uses. Raises `OSError` or `ssl.SSLError` if the certificate files of
    `network` are unusable, and `ValueError` for a proxy whose scheme is not `http`.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        deadlines: Deadlines,
        network: Network,
        resolver: Resolver | None = None,
        room: Room | None = None,
    ) -> None:
        self._loop = loop
        self._deadlines = deadlines
        self._room = room or Room()
        self._owned_resolver = Resolver(loop) if resolver is None else None
        self._connector = Connector(loop, network, resolver or self._owned_resolver or Resolver(loop))
        self._pools: dict[Origin, OriginPool] = {}
        self._is_closed = False

    def send(self, origin: Origin, request: UpstreamRequest, handler: ResponseHandler, deadline: float) -> Leg:
        """Send `request` now, or as soon as there is a connection. `handler` is called after this method has returned.

        `deadline` is in monotonic seconds. It covers connecting, sending and the whole answer; see `Leg`.
        """
        leg = Leg(request, handler, deadline)
        (self._pools.get(origin) or self._open_pool(origin)).send(leg)
        return leg

    def send_streaming(
        self,
        origin: Origin,
        request: UpstreamRequest,
        handler: ResponseHandler,
        deadline: float,
        length: int | None,
    ) -> UploadLeg:
        """Send a request as `send` does, with a body that is written later by `UploadLeg.write_body`. The body has
        `length` bytes, or is chunked if that is `None`. `request.body` is not used. Such a request is never sent
        twice."""
        leg = UploadLeg(request, handler, deadline, length)
        (self._pools.get(origin) or self._open_pool(origin)).send(leg)
        return leg

    def gauges(self) -> dict[str, PoolGauges]:
        """Return the state of each pool by origin."""
        return {str(origin): pool.gauges() for origin, pool in self._pools.items()}

    async def close(self) -> None:
        """Close every connection at once; requests in progress fail with `SHUTTING_DOWN`."""
        self._is_closed = True
        for pool in self._pools.values():
            await pool.close()
        if self._owned_resolver is not None:
            await self._owned_resolver.close()

    def _open_pool(self, origin: Origin) -> OriginPool:
        if self._is_closed:
            raise RuntimeError("the HTTP client is closed")
        pool = OriginPool(self._loop, self._deadlines, self._connector, origin, self._room)
        self._pools[origin] = pool
        return pool
