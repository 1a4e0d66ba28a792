"""The HTTP clients of the present snapshot: one for each network configuration, shared by the providers that use it."""

import asyncio
from collections.abc import Iterator

from pointsman.domain.network import Network
from pointsman.domain.snapshots import Snapshot
from pointsman.domain.targets import Endpoint
from pointsman.transport.deadlines import Deadlines
from pointsman.transport.http_client import HttpClient
from pointsman.transport.room import Room

MAX_FETCHING = 4


class Upstreams:
    """The clients. They outlive a reload if their settings are unchanged. `room` limits their connections in total, and
    `media_slots` the requests whose media are fetched at a time."""

    def __init__(self, loop: asyncio.AbstractEventLoop, deadlines: Deadlines, room: Room | None = None) -> None:
        self.room = room or Room()
        self.media_slots = asyncio.Semaphore(MAX_FETCHING)
        self._loop = loop
        self._deadlines = deadlines
        self._clients: dict[Network, HttpClient] = {}
        self._of_endpoint: dict[Endpoint, HttpClient] = {}

    def __iter__(self) -> Iterator[HttpClient]:
        return iter(self._clients.values())

    def client(self, endpoint: Endpoint) -> HttpClient:
        """Return the client that reaches this endpoint."""
        found = self._of_endpoint.get(endpoint)
        if found is None:
            found = self._of_endpoint[endpoint] = self.at(endpoint.network)
        return found

    def at(self, network: Network) -> HttpClient:
        """Return the client for a network."""
        found = self._clients.get(network)
        if found is None:
            found = self._clients[network] = HttpClient(self._loop, self._deadlines, network, room=self.room)
        return found

    def swap(self, snapshot: Snapshot) -> list[HttpClient]:
        """Forget clients that the new snapshot does not use. Return them, to be closed once they are idle: requests
        that began before still use them."""
        self._of_endpoint.clear()
        used = {endpoint.network for endpoint in snapshot.endpoints.values()}
        retired = [client for network, client in self._clients.items() if network not in used]
        self._clients = {network: client for network, client in self._clients.items() if network in used}
        return retired

    async def close(self) -> None:
        """Close every client and its connections."""
        for client in self._clients.values():
            await client.close()
        self._clients.clear()
        self._of_endpoint.clear()
