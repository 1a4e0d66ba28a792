"""Spans and log records of stored requests, as OTLP messages. https://opentelemetry.io/docs/specs/otlp/"""

from collections.abc import Callable, Iterable, Mapping
from time import time_ns

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, InstrumentationScope, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs, SeverityNumber
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from pointsman import __version__
from pointsman.admin.export.attributes import (
    HARMLESS,
    Value,
    attempt_attributes,
    operation_name,
    request_attributes,
)
from pointsman.control.inquiries.export import ExportSettings
from pointsman.domain.records import AttemptRecord, RequestRecord
from pointsman.domain.tracing import TraceContext, Tracing, is_sampled, read_context, span_id_of, trace_id_of

LOG_EVENT = "pointsman.request"

_REMOTE_KNOWN, _REMOTE, _SAMPLED = 0x100, 0x200, 0x01  # flags of a span, as in trace.proto
_TEXT = 1024  # the longest text of an attribute


def is_sent(record: RequestRecord, settings: ExportSettings) -> bool:
    """Return whether the spans of a request are sent: by its head, as a failure, or as a slow request."""
    if settings.slow_s is not None and record.duration_us >= settings.slow_s * 1e6:
        return True
    if settings.errors and (record.status >= 500 or record.status == 0):
        return True
    if settings.errors and any(attempt.outcome not in HARMLESS for attempt in record.attempts):
        return True
    return is_sampled(record.request_id, _context(record), Tracing(settings.ratio))


def trace_request(
    records: Iterable[RequestRecord], settings: ExportSettings, note: Callable[[RequestRecord], object] = id
) -> tuple[bytes, int]:
    """Return the message with the spans of those requests that are sent, and the number of spans. Each of those
    requests is passed to `note`."""
    spans: list[Span] = []
    for record in records:
        if is_sent(record, settings):
            spans += _spans(record, settings.types)
            note(record)
    scope = ScopeSpans(scope=_scope(), spans=spans)
    message = ExportTraceServiceRequest(
        resource_spans=[ResourceSpans(resource=resource(settings), scope_spans=[scope])]
    )
    return message.SerializeToString(), len(spans)


def log_request(records: Iterable[RequestRecord], settings: ExportSettings) -> tuple[bytes, int]:
    """Return the message with a log record for each request, and their number."""
    logs = [_log(record, settings.types) for record in records]
    scope = ScopeLogs(scope=_scope(), log_records=logs)
    message = ExportLogsServiceRequest(resource_logs=[ResourceLogs(resource=resource(settings), scope_logs=[scope])])
    return message.SerializeToString(), len(logs)


def resource(settings: ExportSettings) -> Resource:
    """Return the description of this gateway."""
    about: dict[str, Value] = {"service.name": settings.service_name, "service.version": __version__}
    return Resource(attributes=key_values(about | settings.attributes))


def key_values(attributes: Mapping[str, Value]) -> list[KeyValue]:
    return [KeyValue(key=name, value=_value(value)) for name, value in attributes.items()]


def _spans(record: RequestRecord, types: Mapping[str, str]) -> list[Span]:
    context, end = _context(record), int(record.time * 1e9)
    start = end - record.duration_us * 1000
    trace_id = bytes.fromhex(trace_id_of(record.request_id, context))
    own_id = bytes.fromhex(span_id_of(record.request_id))
    operation = operation_name(record)
    request = Span(
        trace_id=trace_id,
        span_id=own_id,
        parent_span_id=bytes.fromhex(context.parent_id) if context is not None else b"",
        trace_state=context.state if context is not None else "",
        flags=_SAMPLED | _REMOTE_KNOWN | (_REMOTE if context is not None else 0),
        name=f"{operation} {record.model}" if record.model else operation,
        kind=Span.SPAN_KIND_SERVER,
        start_time_unix_nano=start,
        end_time_unix_nano=end,
        attributes=key_values(request_attributes(record, types)),
    )
    if record.status >= 500 or record.status == 0:
        request.status.CopyFrom(Status(code=Status.STATUS_CODE_ERROR, message=(record.message or "")[:_TEXT]))
    spans = [request]
    for place, attempt in enumerate(record.attempts, 1):
        spans.append(_attempt_span(record, attempt, attempt.ordinal or place, types))
        spans[-1].trace_id, spans[-1].parent_span_id = trace_id, own_id
        spans[-1].start_time_unix_nano = start + attempt.start_us * 1000
        spans[-1].end_time_unix_nano = start + (attempt.start_us + attempt.duration_us) * 1000
    return spans


def _attempt_span(record: RequestRecord, attempt: AttemptRecord, ordinal: int, types: Mapping[str, str]) -> Span:
    operation = operation_name(record)
    span = Span(
        span_id=bytes.fromhex(span_id_of(record.request_id, ordinal)),
        trace_state=record.tracestate,
        flags=_SAMPLED | _REMOTE_KNOWN,
        name=f"{operation} {attempt.model}" if attempt.model else operation,
        kind=Span.SPAN_KIND_CLIENT,
        attributes=key_values(attempt_attributes(record, attempt, ordinal, types)),
    )
    if attempt.outcome not in HARMLESS:
        span.status.CopyFrom(Status(code=Status.STATUS_CODE_ERROR, message=(attempt.message or "")[:_TEXT]))
    return span


def _log(record: RequestRecord, types: Mapping[str, str]) -> LogRecord:
    severity, text = SeverityNumber.SEVERITY_NUMBER_INFO, "INFO"
    if record.status >= 500 or record.status == 0:
        severity, text = SeverityNumber.SEVERITY_NUMBER_ERROR, "ERROR"
    elif record.status >= 400:
        severity, text = SeverityNumber.SEVERITY_NUMBER_WARN, "WARN"
    return LogRecord(
        time_unix_nano=int(record.time * 1e9),
        observed_time_unix_nano=time_ns(),
        severity_number=severity,
        severity_text=text,
        event_name=LOG_EVENT,
        body=AnyValue(string_value=f"{record.method} {record.path} {record.status}"),
        attributes=key_values(request_attributes(record, types)),
        trace_id=bytes.fromhex(trace_id_of(record.request_id, _context(record))),
        span_id=bytes.fromhex(span_id_of(record.request_id)),
    )


def _context(record: RequestRecord) -> TraceContext | None:
    return read_context(record.traceparent, record.tracestate) if record.traceparent else None


def _scope() -> InstrumentationScope:
    return InstrumentationScope(name="pointsman", version=__version__)


def _value(value: Value) -> AnyValue:
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    if isinstance(value, tuple):
        return AnyValue(array_value=ArrayValue(values=[AnyValue(string_value=one[:_TEXT]) for one in value]))
    return AnyValue(string_value=value[:_TEXT])
