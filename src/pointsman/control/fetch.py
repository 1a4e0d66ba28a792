"""One request of control itself to a provider."""

import asyncio
from collections.abc import Callable

from msgspec import Struct

from pointsman.domain.calls import Call, RequestHead
from pointsman.domain.messages import UpstreamRequest
from pointsman.domain.operations import Operation
from pointsman.domain.snapshots import NO_SNAPSHOT
from pointsman.domain.targets import Endpoint, ProviderKey, candidate
from pointsman.providers import codec_of
from pointsman.transport.deadlines import Deadlines
from pointsman.transport.fetch import FetchError, receive
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

    def take_good(status: int, data: bytes) -> None:
        if status == 200:
            take(data)

    loop = asyncio.get_running_loop()
    deadlines = Deadlines(loop)
    client = HttpClient(loop, deadlines, endpoint.network)
    try:
        status, _ = await receive(client, endpoint.origin, request, timeout_s, take=take_good)
    except FetchError as error:
        raise AnswerError(str(error)) from None
    finally:
        await client.close()
        deadlines.close()
    if status != 200:
        raise AnswerError(f"the response has status {status}", status)
