"""Sends messages to an OpenTelemetry collector by OTLP over HTTP. https://opentelemetry.io/docs/specs/otlp/#otlphttp"""

import asyncio
import gzip

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from pointsman.admin.delivery import DeliveryError, RecipientClient, Sent, sent_by
from pointsman.control.inquiries.export import ExportSettings
from pointsman.transport.fetch import Fetched

_CONTENT = b"content-type: application/x-protobuf\r\ncontent-encoding: gzip\r\n"


class Sender:
    """Sends the messages of one signal. Create it inside the event loop that it uses."""

    def __init__(self, settings: ExportSettings, signal: str) -> None:
        self._client = RecipientClient(settings)
        self._target = f"{settings.path}/v1/{signal}".encode("ascii")
        self._signal = signal

    async def send(self, message: bytes, count: int) -> Sent:
        """Send a message of `count` items. Raises `DeliveryError`."""
        body = await asyncio.to_thread(gzip.compress, message, 1)
        return _read(await self._client.send(b"POST", self._target, _CONTENT, body), self._signal, count)

    async def close(self) -> None:
        await self._client.close()


def _read(answer: Fetched, signal: str, count: int) -> Sent:
    """Return the end of a message by its answer. Its text is not quoted, because it may repeat the message."""
    sent = sent_by(answer, count)
    if sent.result != "accepted":
        return sent
    kind = answer.headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if not answer.body or kind == b"application/json":
        return sent
    if kind != b"application/x-protobuf":
        raise DeliveryError("the answer is not one of OTLP, so the address may be that of another server")
    try:
        rejected = _rejected(answer.body, signal)
    except Exception:  # noqa: BLE001 -- protobuf's own class of errors is not typed
        raise DeliveryError("the answer is not one of OTLP, so the address may be that of another server") from None
    if rejected:
        return Sent("accepted", min(rejected, count), "partial success")
    return sent


def _rejected(body: bytes, signal: str) -> int:
    if signal == "traces":
        return int(ExportTraceServiceResponse.FromString(body).partial_success.rejected_spans)
    if signal == "logs":
        return int(ExportLogsServiceResponse.FromString(body).partial_success.rejected_log_records)
    return int(ExportMetricsServiceResponse.FromString(body).partial_success.rejected_data_points)
