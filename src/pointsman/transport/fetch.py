"""One request, and its answer: as a whole, or piece by piece."""

import asyncio
from collections.abc import Callable
from time import monotonic

from msgspec import Struct

from pointsman.domain import failures
from pointsman.domain.failures import Kind
from pointsman.domain.messages import Headers, UpstreamRequest
from pointsman.domain.origin import Origin
from pointsman.transport.errors import TransportFailure
from pointsman.transport.http_client import HttpClient


class Fetched(Struct, frozen=True):
    """A whole answer."""

    status: int
    headers: Headers
    body: bytes


class FetchError(Exception):
    """The reason that there is no whole answer."""

    def __init__(self, kind: Kind, message: str) -> None:
        super().__init__(message)
        self.kind = kind


async def fetch(
    client: HttpClient, origin: Origin, request: UpstreamRequest, timeout_s: float, most_bytes: int
) -> Fetched:
    """Send a request and return the answer, whatever its status. Raises `FetchError`, also for an answer with more than
    `most_bytes`."""
    body = bytearray()

    def take(status: int, data: bytes) -> None:  # noqa: ARG001
        body.extend(data)
        if len(body) > most_bytes:
            raise FetchError(failures.MALFORMED_ANSWER, f"the response has more than {most_bytes} bytes")

    status, headers = await receive(client, origin, request, timeout_s, take=take)
    return Fetched(status, headers, bytes(body))


async def receive(
    client: HttpClient,
    origin: Origin,
    request: UpstreamRequest,
    timeout_s: float,
    *,
    take: Callable[[int, bytes], None],
) -> tuple[int, Headers]:
    """Send a request, and pass the status and each piece of the answer to `take`. Return the status and the headers.
    Raises `FetchError`, and any error of `take`, which ends the request."""
    receiver = _Receiver(asyncio.get_running_loop().create_future(), take)
    leg = client.send(origin, request, receiver, monotonic() + timeout_s)
    try:
        return await receiver.done
    finally:
        leg.cancel()


class _Receiver:
    """Passes on an answer."""

    def __init__(self, done: "asyncio.Future[tuple[int, Headers]]", take: Callable[[int, bytes], None]) -> None:
        self.done = done
        self._take = take
        self._status = 0
        self._headers: Headers = {}

    def on_head(self, status: int, headers: Headers) -> None:
        self._status, self._headers = status, headers

    def on_data(self, data: bytes) -> None:
        if self.done.done():
            return
        try:
            self._take(self._status, data)
        except Exception as error:  # noqa: BLE001 -- of any kind: the caller gets it
            self.done.set_exception(error)

    def on_end(self) -> None:
        if not self.done.done():
            self.done.set_result((self._status, self._headers))

    def on_failure(self, failure: TransportFailure) -> None:
        if not self.done.done():
            self.done.set_exception(FetchError(failure.kind, failure.message))
