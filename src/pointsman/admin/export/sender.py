"""Sends messages to an OpenTelemetry collector by OTLP over HTTP. https://opentelemetry.io/docs/specs/otlp/#otlphttp

Nothing waits for a collector except the task that sends to it, with one message in memory. A failure is a `SendError`:
the same message can be sent again later. A message that the collector rejects for good is `REJECTED` or `TOO_LARGE`.
"""

import asyncio
import gzip
from time import time
from typing import Literal

from msgspec import Struct
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from pointsman.control.inquiries.export import ExportSettings
from pointsman.domain import failures
from pointsman.domain.http_date import http_unix_s
from pointsman.domain.messages import UpstreamRequest
from pointsman.domain.network import Network
from pointsman.domain.origin import Origin, Secret
from pointsman.transport.deadlines import Deadlines
from pointsman.transport.fetch import Fetched, FetchError, fetch
from pointsman.transport.http_client import HttpClient

MAX_ANSWER = 64 * 1024  # bytes
MAX_RETRY_AFTER_S = 60.0
_CONTENT = b"content-type: application/x-protobuf\r\ncontent-encoding: gzip\r\nuser-agent: pointsman\r\n"
_FOR_GOOD = frozenset({400, 415, 422})  # the message itself is at fault


class SendError(Exception):
    """A message was not accepted, but may be later. `retry_after_s` is the wait that the collector requested."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Sent(Struct, frozen=True):
    """The end of a message. `rejected` of its items were not accepted."""

    result: Literal["accepted", "rejected", "too_large"]
    rejected: int = 0
    reason: str = ""


class Sender:
    """Sends the messages of one signal. Create it inside the event loop that it uses. Raises the errors of `HttpClient`
    if the files of its network are unusable."""

    def __init__(self, settings: ExportSettings, signal: str) -> None:
        loop = asyncio.get_running_loop()
        self._deadlines = Deadlines(loop)
        self._client = HttpClient(loop, self._deadlines, _network(settings))
        self._origin = Origin(settings.scheme, settings.host, settings.port)
        self._target = f"{settings.base_path}/v1/{signal}".encode("ascii")
        own = "".join(f"{name}: {value}\r\n" for name, value in settings.headers.items())
        self._headers = _CONTENT + own.encode("ascii")
        self._timeout_s = settings.timeout_s
        self._signal = signal

    async def send(self, message: bytes, count: int) -> Sent:
        """Send a message of `count` items. Raises `SendError`."""
        body = await asyncio.to_thread(gzip.compress, message, 1)
        request = UpstreamRequest(b"POST", self._target, self._headers, body)
        try:
            try:
                answer = await self._fetch(request)
            except FetchError as error:
                if error.kind is not failures.CONNECTION_STALE:
                    raise
                answer = await self._fetch(request)  # the collector had closed the connection
        except FetchError as error:
            raise SendError(str(error)) from None
        return _read(answer, self._signal, count)

    async def close(self) -> None:
        await self._client.close()
        self._deadlines.close()

    async def _fetch(self, request: UpstreamRequest) -> Fetched:
        return await fetch(self._client, self._origin, request, self._timeout_s, MAX_ANSWER)


def _network(settings: ExportSettings) -> Network:
    proxy, authorization = None, None
    if settings.proxy is not None:
        proxy = Origin(*settings.proxy)
        authorization = Secret(settings.proxy_authorization) if settings.proxy_authorization else None
    return Network(
        proxy=proxy,
        proxy_authorization=authorization,
        ca_file=settings.ca_file,
        client_cert=settings.client_cert,
        client_key=settings.client_key,
        connect_timeout_s=settings.connect_timeout_s,
        max_connections=1,
    )


def _read(answer: Fetched, signal: str, count: int) -> Sent:
    """Return the end of a message by its answer. Its text is not quoted, because it may repeat the message."""
    status = answer.status
    if status == 413:
        return Sent("too_large", count, "the collector's limit of size")
    if status in _FOR_GOOD:
        return Sent("rejected", count, f"status {status}")
    if not 200 <= status < 300:
        raise SendError(f"status {status}", _retry_after_s(answer))
    kind = answer.headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if not answer.body or kind == b"application/json":
        return Sent("accepted")
    if kind != b"application/x-protobuf":
        raise SendError("the answer is not one of OTLP, so the address may be that of another server")
    try:
        rejected = _rejected(answer.body, signal)
    except Exception:  # noqa: BLE001 -- protobuf's own class of errors is not typed
        raise SendError("the answer is not one of OTLP, so the address may be that of another server") from None
    if rejected:
        return Sent("accepted", min(rejected, count), "partial success")
    return Sent("accepted")


def _rejected(body: bytes, signal: str) -> int:
    if signal == "traces":
        return int(ExportTraceServiceResponse.FromString(body).partial_success.rejected_spans)
    if signal == "logs":
        return int(ExportLogsServiceResponse.FromString(body).partial_success.rejected_log_records)
    return int(ExportMetricsServiceResponse.FromString(body).partial_success.rejected_data_points)


def _retry_after_s(answer: Fetched) -> float | None:
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
