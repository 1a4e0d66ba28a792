"""One request of control itself to a provider."""

import asyncio
from collections.abc import Callable
from time import monotonic

from msgspec import Struct

from pointsman.domain.calls import Call, RequestHead
from pointsman.domain.messages import Headers, UpstreamRequest
from pointsman.domain.operations import Operation
from pointsman.domain.snapshots import NO_SNAPSHOT
from pointsman.domain.targets import Endpoint, ProviderKey, candidate
from pointsman.providers import codec_of
from pointsman.transport.deadlines import Deadlines
from pointsman.transport.errors import TransportFailure
from pointsman.transport.http_client import HttpClient

TIMEOUT_S = 30.0
MAX_BYTES = 16 * 1024 * 1024


class StoredAt(Struct, frozen=True):
    """The provider and the key that store an object."""

    endpoint: Endpoint
    key: ProviderKey

    def request(self, operation: Operation, path: str) -> UpstreamRequest:
        """Return a request for something that the provider stores."""
        head = RequestHead(method="GET", path=path)
        call = Call(operation=operation, head=head, snapshot=NO_SNAPSHOT, model="", raw_body=b"", stateful=True)
        return codec_of(self.endpoint.type, operation, "openai").encode(call, candidate(self.endpoint, ""), self.key)


class AnswerError(Exception):
    """The reason why an answer is not available. `status` is that of an answer which is an error."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


async def fetch(endpoint: Endpoint, request: UpstreamRequest) -> bytes:
    """Return the body of an answer with status 200. Raises `AnswerError`."""
    body = bytearray()

    def take(data: bytes) -> None:
        body.extend(data)
        if len(body) > MAX_BYTES:
            raise AnswerError(f"the response has more than {MAX_BYTES} bytes")

    await fetch_into(endpoint, request, take)
    return bytes(body)


async def fetch_into(
    endpoint: Endpoint, request: UpstreamRequest, take: Callable[[bytes], None], timeout_s: float = TIMEOUT_S
) -> None:
    """Pass the body of an answer with status 200 to `take`, piece by piece. Raises `AnswerError`, as `take` may."""
    loop = asyncio.get_running_loop()
    deadlines = Deadlines(loop)
    client = HttpClient(loop, deadlines, endpoint.network)
    receiver = _Passing(loop.create_future(), take)
    try:
        leg = client.send(endpoint.origin, request, receiver, monotonic() + timeout_s)
        try:
            await receiver.done
        finally:
            leg.cancel()
    finally:
        await client.close()
        deadlines.close()


class _Passing:
    """Passes on an answer."""

    def __init__(self, done: "asyncio.Future[None]", take: Callable[[bytes], None]) -> None:
        self.done = done
        self._take = take
        self._status = 0

    def on_head(self, status: int, headers: Headers) -> None:  # noqa: ARG002
        self._status = status

    def on_data(self, data: bytes) -> None:
        if self._status == 200 and not self.done.done():
            try:
                self._take(data)
            except AnswerError as error:
                self.done.set_exception(error)

    def on_end(self) -> None:
        if self._status != 200:
            self._fail(AnswerError(f"the response has status {self._status}", self._status))
        elif not self.done.done():
            self.done.set_result(None)

    def on_failure(self, failure: TransportFailure) -> None:
        self._fail(AnswerError(str(failure)))

    def _fail(self, error: AnswerError) -> None:
        if not self.done.done():
            self.done.set_exception(error)
