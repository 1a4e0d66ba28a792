"""One request, and its whole answer."""

import asyncio
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
    receiver = _Receiver(asyncio.get_running_loop().create_future(), most_bytes)
    leg = client.send(origin, request, receiver, monotonic() + timeout_s)
    try:
        return await receiver.done
    finally:
        leg.cancel()


class _Receiver:
    """Assembles an answer."""

    def __init__(self, done: "asyncio.Future[Fetched]", most_bytes: int) -> None:
        self.done = done
        self._most_bytes = most_bytes
        self._body = bytearray()
        self._status = 0
        self._headers: Headers = {}

    def on_head(self, status: int, headers: Headers) -> None:
        self._status, self._headers = status, headers

    def on_data(self, data: bytes) -> None:
        self._body += data
        if len(self._body) > self._most_bytes:
            message = f"the response has more than {self._most_bytes} bytes"
            self._fail(FetchError(failures.MALFORMED_ANSWER, message))

    def on_end(self) -> None:
        if not self.done.done():
            self.done.set_result(Fetched(self._status, self._headers, bytes(self._body)))

    def on_failure(self, failure: TransportFailure) -> None:
        self._fail(FetchError(failure.kind, failure.message))

    def _fail(self, error: FetchError) -> None:
        if not self.done.done():
            self.done.set_exception(error)
