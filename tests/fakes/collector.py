"""A collector of OpenTelemetry: an HTTP server that decodes what it receives with OpenTelemetry's own messages."""

import gzip
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

KINDS: dict[str, tuple[Any, Any]] = {
    "/v1/traces": (ExportTraceServiceRequest, ExportTraceServiceResponse),
    "/v1/metrics": (ExportMetricsServiceRequest, ExportMetricsServiceResponse),
    "/v1/logs": (ExportLogsServiceRequest, ExportLogsServiceResponse),
}


class FakeCollector:
    """The received messages and their bytes. `mode` is the next answers: `ok`, a status, `slow`, `html`, `partial` or
    `garbage`. A body longer than `most` bytes is too large."""

    def __init__(self) -> None:
        self.mode: str | int = "ok"
        self.most = 1 << 30
        self.headers: list[dict[str, str]] = []
        self.raw = b""
        self.tries = 0
        self.messages: list[Any] = []
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def spans(self) -> list[Any]:
        return [
            span
            for message in self.messages
            if isinstance(message, ExportTraceServiceRequest)
            for one in message.resource_spans
            for scope in one.scope_spans
            for span in scope.spans
        ]

    @property
    def logs(self) -> list[Any]:
        return [
            log
            for message in self.messages
            if isinstance(message, ExportLogsServiceRequest)
            for one in message.resource_logs
            for scope in one.scope_logs
            for log in scope.log_records
        ]

    @property
    def metrics(self) -> list[Any]:
        return [
            metric
            for message in self.messages
            if isinstance(message, ExportMetricsServiceRequest)
            for one in message.resource_metrics
            for scope in one.scope_metrics
            for metric in scope.metrics
        ]


def attributes(item: Any) -> dict[str, Any]:
    """Return the attributes of a span, a log record, a data point or a resource."""
    return {one.key: getattr(one.value, str(one.value.WhichOneof("value"))) for one in item.attributes}


@contextmanager
def collecting(port: int = 0) -> Iterator[FakeCollector]:
    """Run a collector on this port, or on a free one."""
    collector = FakeCollector()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = gzip.decompress(self.rfile.read(int(self.headers["content-length"])))
            status, kind, answer = _answer(collector, self.path, dict(self.headers), body)
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(answer)))
            with suppress(ConnectionError):  # a slow answer comes too late; nobody may print that
                self.end_headers()
                self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    collector.port = server.server_port
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()


def _answer(collector: FakeCollector, path: str, headers: dict[str, str], body: bytes) -> tuple[int, str, bytes]:
    collector.tries += 1
    mode = collector.mode
    if mode == "slow":
        time.sleep(8)
        return 503, "text/plain", b""
    if isinstance(mode, int):
        return mode, "text/plain", b"no"
    if mode == "html":
        return 200, "text/html", b"<p>Sign in</p>"
    if mode == "garbage":
        return 200, "application/x-protobuf", b"\xff\xff\xff"
    if len(body) > collector.most:
        return 413, "text/plain", b"large"
    request, response = KINDS[path]
    collector.raw += body
    collector.headers.append({name.lower(): value for name, value in headers.items()})
    collector.messages.append(request.FromString(body))
    answer = response()
    if mode == "partial":
        answer.partial_success.rejected_spans = 1
        answer.partial_success.error_message = "canary"
    return 200, "application/x-protobuf", answer.SerializeToString()
