"""Spans and log records of stored requests, and the choice of those that are sent."""

import msgspec
import pytest
from msgspec.structs import replace
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from fakes.collector import attributes
from fakes.control import record
from fakes.export import SETTINGS
from pointsman.admin.export.spans import is_sent, log_request, trace_request
from pointsman.domain.records import AttemptRecord, RequestRecord
from pointsman.domain.tracing import span_id_of

ID = "01933b3c-0000-7abc-8000-0123456789ab"
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
ALL = replace(SETTINGS, ratio=1.0)
NONE = replace(SETTINGS, ratio=0.0, slow_s=None, errors=False)


def request(**fields: object) -> RequestRecord:
    return replace(msgspec.json.decode(record(ID, 1000.0), type=RequestRecord), **fields)


def attempt(outcome: str, **fields: object) -> AttemptRecord:
    one = AttemptRecord(provider="up", model="m", key="k", outcome=outcome, start_us=1000, duration_us=500_000)
    return replace(one, **fields)


def spans_of(one: RequestRecord) -> list[Span]:
    message, count = trace_request([one], ALL)
    found = ExportTraceServiceRequest.FromString(message).resource_spans[0].scope_spans[0].spans
    assert len(found) == count
    return list(found)


def test_request_and_its_attempts_are_one_trace() -> None:
    attempts = (attempt("truncated", message="it ended early"), attempt("ok", start_us=600_000, status=200))
    first, second, third = spans_of(request(duration_us=2_000_000, attempts=attempts))
    assert first.trace_id.hex() == ID.replace("-", "")
    assert {second.trace_id, third.trace_id} == {first.trace_id}
    assert (first.kind, second.kind) == (Span.SPAN_KIND_SERVER, Span.SPAN_KIND_CLIENT)
    assert first.parent_span_id == b""
    assert second.parent_span_id == third.parent_span_id == first.span_id
    assert (first.start_time_unix_nano, first.end_time_unix_nano) == (998 * 10**9, 1000 * 10**9)
    assert second.start_time_unix_nano == 998 * 10**9 + 10**6
    assert third.end_time_unix_nano == 998 * 10**9 + 1_100_000_000
    assert (second.status.code, second.status.message) == (Status.STATUS_CODE_ERROR, "it ended early")
    assert first.status.code == third.status.code == Status.STATUS_CODE_UNSET
    assert attributes(second)["error.type"] == attributes(second)["pointsman.attempt.outcome"] == "truncated"
    assert (first.name, second.name) == ("chat chat", "chat m")


def test_request_joins_the_trace_of_its_client() -> None:
    first, second = spans_of(request(traceparent=f"00-{TRACE}-{PARENT}-01", tracestate="a=1"))
    assert (first.trace_id.hex(), first.parent_span_id.hex(), first.trace_state) == (TRACE, PARENT, "a=1")
    assert (second.trace_id.hex(), second.parent_span_id) == (TRACE, first.span_id)


def test_span_of_an_attempt_has_the_id_that_its_provider_received() -> None:
    """Attempts are listed in the order of their ends."""
    attempts = (attempt("ok", ordinal=2), attempt("superseded", ordinal=1))
    _, second, third = spans_of(request(attempts=attempts))
    assert [one.span_id.hex() for one in (second, third)] == [span_id_of(ID, 2), span_id_of(ID, 1)]
    assert third.status.code == Status.STATUS_CODE_UNSET


@pytest.mark.parametrize(
    ("fields", "settings", "expected"),
    [
        ({}, NONE, False),
        ({}, ALL, True),
        ({"traceparent": f"00-{TRACE}-{PARENT}-01"}, NONE, True),
        ({"traceparent": f"00-{TRACE}-{PARENT}-00"}, ALL, False),
        ({"status": 502}, NONE, False),
        ({"status": 502}, replace(NONE, errors=True), True),
        ({"status": 502, "traceparent": f"00-{TRACE}-{PARENT}-00"}, replace(NONE, errors=True), True),
        ({"status": 0}, replace(NONE, errors=True), True),
        ({"status": 404}, replace(NONE, errors=True), False),
        ({"attempts": (attempt("truncated"), attempt("ok"))}, replace(NONE, errors=True), True),
        ({"attempts": (attempt("superseded"), attempt("ok"))}, replace(NONE, errors=True), False),
        ({"duration_us": 2_999_999}, replace(NONE, slow_s=3.0), False),
        ({"duration_us": 3_000_000}, replace(NONE, slow_s=3.0), True),
    ],
)
def test_choice_of_requests(fields: dict[str, object], settings: object, expected: bool) -> None:
    assert is_sent(request(**fields), settings) is expected  # type: ignore[arg-type]


def test_every_request_has_a_log_record_in_its_trace() -> None:
    message, count = log_request([request(), request(status=429), request(status=502)], NONE)
    logs = ExportLogsServiceRequest.FromString(message).resource_logs[0].scope_logs[0].log_records
    assert count == len(logs) == 3
    assert [one.severity_text for one in logs] == ["INFO", "WARN", "ERROR"]
    assert logs[0].body.string_value == "POST /v1/chat/completions 200"
    assert logs[0].trace_id.hex() == ID.replace("-", "")
    assert logs[0].span_id.hex() == span_id_of(ID)
