"""Trace context of clients, ids of spans, and samples. The examples are those of W3C Trace Context."""

import pytest

from pointsman.domain.tracing import (
    MAX_STATE,
    TraceContext,
    Tracing,
    context_in,
    is_sampled,
    lines_for_provider,
    read_context,
    span_id_of,
    trace_id_of,
)

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
HEADER = f"00-{TRACE}-{PARENT}-01"
REQUEST = "01933b3c-0000-7abc-8000-0123456789ab"


def test_valid_context_is_read() -> None:
    found = read_context(HEADER, "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7")
    assert found == TraceContext(TRACE, PARENT, True, "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7")
    assert found.traceparent == HEADER


def test_context_of_a_later_version_is_read_as_far_as_it_is_known() -> None:
    assert read_context(f"cc-{TRACE}-{PARENT}-00-what-the-future-holds") == TraceContext(TRACE, PARENT, False)


def test_other_flags_do_not_sample() -> None:
    assert read_context(f"00-{TRACE}-{PARENT}-02") == TraceContext(TRACE, PARENT, False)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "00",
        f"ff-{TRACE}-{PARENT}-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-01-more",
        f"{HEADER}, {HEADER}",
        f"{HEADER}\n",
        f"00-{TRACE}-{PARENT}-0",
    ],
)
def test_invalid_context_is_ignored(header: str) -> None:
    assert read_context(header) is None


@pytest.mark.parametrize("state", ["a=1\r\nx: y", "a=\x00", "ä=1", "a=" + "1" * MAX_STATE, " a=1"])
def test_invalid_state_is_left_out(state: str) -> None:
    assert read_context(HEADER, state) == TraceContext(TRACE, PARENT, True)


def test_headers_without_context_have_none() -> None:
    assert context_in({b"tracestate": b"a=1"}) is None
    assert context_in({b"traceparent": b"\xff"}) is None
    assert context_in({b"traceparent": HEADER.encode(), b"tracestate": b"a=1"}) == read_context(HEADER, "a=1")


def test_trace_is_the_clients_or_has_the_id_of_the_request() -> None:
    assert trace_id_of(REQUEST, read_context(HEADER)) == TRACE
    assert trace_id_of(REQUEST, None) == REQUEST.replace("-", "")


def test_spans_of_a_request_and_its_attempts_differ() -> None:
    ids = {span_id_of(REQUEST, ordinal) for ordinal in range(100)}
    assert len(ids) == 100
    assert all(len(one) == 16 for one in ids)
    assert span_id_of(REQUEST) == span_id_of(REQUEST, 0)


def test_client_decides_on_the_sample_and_otherwise_the_ratio_does() -> None:
    assert is_sampled(REQUEST, read_context(HEADER), Tracing(0.0))
    assert not is_sampled(REQUEST, read_context(f"00-{TRACE}-{PARENT}-00"), Tracing(1.0))
    assert is_sampled(REQUEST, None, Tracing(1.0))
    assert not is_sampled(REQUEST, None, Tracing(0.0))


def test_ratio_holds_for_requests_of_one_millisecond() -> None:
    """Their ids differ only in a counter."""
    requests = [f"01933b3c-0000-7{count:03x}-8000-0123456789ab" for count in range(4096)]
    sampled = sum(is_sampled(one, None, Tracing(0.25)) for one in requests)
    assert 0.2 < sampled / len(requests) < 0.3


def test_provider_gets_the_span_of_its_attempt() -> None:
    lines = lines_for_provider(REQUEST, 2, read_context(HEADER, "a=1"), Tracing())
    assert lines == f"traceparent: 00-{TRACE}-{span_id_of(REQUEST, 2)}-01\r\ntracestate: a=1\r\n".encode()
    own = lines_for_provider(REQUEST, 1, None, Tracing(0.0))
    assert own == f"traceparent: 00-{REQUEST.replace('-', '')}-{span_id_of(REQUEST, 1)}-00\r\n".encode()
