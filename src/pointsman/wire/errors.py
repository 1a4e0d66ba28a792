"""Failures as they are reported to a client: OpenAI's error body, with a closed `code`.

The shape is that of https://platform.openai.com/docs/guides/error-codes. The official SDKs choose their exception class
by the HTTP status.
"""

import math

from msgspec import Struct
from msgspec.json import encode

from pointsman.domain.failures import RATE_LIMITED, Failure, Fault


class ErrorFields(Struct):
    """The `error` of a body or an event."""

    message: str
    type: str
    param: str | None
    code: str


class _Body(Struct):
    error: ErrorFields


_MISLEADING = frozenset({401, 402, 408, 429})  # a client would take these for a fault of its key or its rate


def status_of(failure: Failure) -> int:
    """Return the status that a client sees. If the provider rejected the request itself, this is the provider's own
    status, unless a client would misread it. A request that is too large for a limit, for example, must not be
    retried."""
    status = failure.status
    if failure.kind.fault is Fault.REQUEST and status is not None and 400 <= status < 500 and status not in _MISLEADING:
        return status
    return failure.kind.status


def error_fields(failure: Failure, request_id: str) -> ErrorFields:
    """Return the fields of the error that a client receives, with the id of its request."""
    message = f"{failure.for_client} (request {request_id})" if request_id else failure.for_client
    return ErrorFields(message, failure.kind.type, failure.param, failure.kind.code)


def error_body(failure: Failure, request_id: str) -> bytes:
    """Return the JSON body. A provider's own message about a bad request is passed on unchanged."""
    if failure.body is not None and failure.kind.fault is Fault.REQUEST:
        return failure.body
    return encode(_Body(error_fields(failure, request_id)))


def error_event(failure: Failure, request_id: str) -> bytes:
    """Return the server-sent event that ends a stream which cannot be completed. Official SDKs raise on it."""
    return b"data: %b\n\n" % encode(_Body(error_fields(failure, request_id)))


class _TypedError(Struct, tag_field="type", tag="error"):
    """An error event of the dialects whose events have types. It has `error` too: official SDKs raise on that, and
    pass an event without it on. https://platform.openai.com/docs/api-reference/responses-streaming/error"""

    code: str
    message: str
    param: str | None
    sequence_number: int
    error: ErrorFields


def typed_error_event(failure: Failure, request_id: str, sequence_number: int) -> bytes:
    """Return the event that ends an incomplete stream of typed events, such as that of `/v1/responses`."""
    error = error_fields(failure, request_id)
    event = _TypedError(error.code, error.message, error.param, sequence_number, error)
    return b"event: error\ndata: %b\n\n" % encode(event)


def error_headers(failure: Failure, should_retry: bool | None = None) -> bytes:
    """Return the header lines that belong to an error. `should_retry` is sent to SDKs only if it is known. It is
    false for a rate limit without a known waiting time, which SDKs would retry: it never has room."""
    if failure.kind is RATE_LIMITED and failure.retry_after_s is None:
        should_retry = False
    lines = b"content-type: application/json\r\n"
    if failure.allow is not None:
        lines += b"allow: %b\r\n" % failure.allow.encode()
    if failure.retry_after_s is not None:
        lines += b"retry-after: %d\r\n" % max(math.ceil(failure.retry_after_s), 0)
    if should_retry is not None:
        lines += b"x-should-retry: true\r\n" if should_retry else b"x-should-retry: false\r\n"
    return lines
