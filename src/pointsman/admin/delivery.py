"""Deliveries of the admin process to other servers.

Nothing waits for such a server except the task that sends to it, with one message in memory. A failure is a
`DeliveryError`: the same message can be sent again later. A message that the server rejects for good is `rejected` or
`too_large`.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from random import Random
from time import time
from typing import Literal, TypeVar

from msgspec import Struct

from pointsman.control.recipients import Recipient
from pointsman.domain import failures
from pointsman.domain.http_date import http_unix_s
from pointsman.domain.messages import UpstreamRequest
from pointsman.transport.connector import NOT_PUBLIC
from pointsman.transport.deadlines import Deadlines
from pointsman.transport.fetch import Fetched, FetchError, fetch
from pointsman.transport.http_client import HttpClient
from pointsman.transport.tls import describe

MAX_ANSWER = 64 * 1024  # bytes
MAX_RETRY_AFTER_S = 60.0
SLOW_S = 5.0  # a delivery that takes longer is reported as a failure, even if it succeeds later
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 30.0  # between two tries
_FOR_GOOD = frozenset({400, 415, 422})  # the message itself is at fault
_FILES = "ca_file, client_cert or client_key"
_RNG = Random()

Answer = TypeVar("Answer")


class DeliveryError(Exception):
    """A message was not accepted, but may be later. `retry_after_s` is the wait that the server requested."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Sent(Struct, frozen=True):
    """The end of a message. `rejected` of its items were not accepted."""

    result: Literal["accepted", "rejected", "too_large"]
    rejected: int = 0
    reason: str = ""


class RecipientClient:
    """Sends requests to one server. Create it inside the event loop that it uses."""

    def __init__(self, recipient: Recipient) -> None:
        self._loop = asyncio.get_running_loop()
        self._deadlines = Deadlines(self._loop)
        self._client: HttpClient | None = None
        self._recipient = recipient
        own = "".join(f"{name}: {value}\r\n" for name, value in recipient.headers.items())
        self._headers = own.encode("ascii")

    async def send(self, method: bytes, target: bytes, lines: bytes, body: bytes) -> Fetched:
        """Send a request and return the answer, whatever its status. `lines` are header lines, each ended by CRLF. The
        request may arrive twice. Raises `DeliveryError`."""
        headers = lines + self._headers + b"user-agent: pointsman\r\n"
        request = UpstreamRequest(method, target, headers, body)
        try:
            try:
                return await self._fetch(request)
            except FetchError as error:
                if error.kind is not failures.CONNECTION_STALE:
                    raise
                return await self._fetch(request)  # the server had closed the connection
        except FetchError as error:
            hint = "; list its network in egress.allow_private" if str(error) == NOT_PUBLIC else ""
            raise DeliveryError(f"{error}{hint}") from None

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()
        self._deadlines.close()

    async def _fetch(self, request: UpstreamRequest) -> Fetched:
        recipient = self._recipient
        client = self._client or self._open()
        return await fetch(client, recipient.origin, request, recipient.timeout_s, MAX_ANSWER)

    def _open(self) -> HttpClient:
        """Read the certificate files. They may be mended later, so an unusable one is a failure of this delivery."""
        try:
            self._client = HttpClient(self._loop, self._deadlines, self._recipient.network)
        except ssl.SSLError as error:
            raise DeliveryError(f"{_FILES} cannot be used: {describe(error)}") from None
        except OSError as error:
            raise DeliveryError(f"{_FILES} cannot be read: {error.strerror}") from None
        return self._client


def sent_by(answer: Fetched, count: int) -> Sent:
    """Return the end of a message of `count` items by the status of its answer. Its text is not quoted, because it may
    repeat the message. Raises `DeliveryError`."""
    status = answer.status
    if status == 413:
        return Sent("too_large", count, "its limit of size")
    if status in _FOR_GOOD:
        return Sent("rejected", count, f"status {status}")
    if not 200 <= status < 300:
        raise DeliveryError(f"status {status}", requested_wait_s(answer))
    return Sent("accepted")


async def until_decided(send: Callable[[], Awaitable[Answer]], fail: Callable[[str], None]) -> Answer:
    """Call `send` until it raises no `DeliveryError`, with growing pauses, and return its value. `fail` gets the reason
    of each failure. It also gets one if there is no answer within `SLOW_S`, and waits for the answer."""
    wait_s = FIRST_WAIT_S
    while True:
        sending = asyncio.ensure_future(send())
        try:
            done, _ = await asyncio.wait({sending}, timeout=SLOW_S)
            if not done:
                fail(f"there is no answer within {SLOW_S:g} s")
            return await sending
        except DeliveryError as error:
            fail(str(error))
            pause_s = wait_s if error.retry_after_s is None else max(error.retry_after_s, FIRST_WAIT_S)
            await asyncio.sleep(pause_s * _RNG.uniform(0.8, 1.0))
            wait_s = min(wait_s * 2, LONGEST_WAIT_S)
        finally:
            sending.cancel()


def requested_wait_s(answer: Fetched) -> float | None:
    """Return the wait that an answer requests, as seconds or as a date, within bounds."""
    text = answer.headers.get(b"retry-after", b"").decode("latin-1")
    if text.isascii() and text.isdigit():
        wait_s = float(text[:6])
    else:
        at = http_unix_s(text)
        if at is None:
            return None
        wait_s = at - time()
    return min(max(wait_s, 0.0), MAX_RETRY_AFTER_S)
