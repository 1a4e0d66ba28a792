"""Errors in OpenAI's shape."""

import msgspec
import pytest

from pointsman.domain import failures
from pointsman.domain.failures import KINDS, Failure
from pointsman.wire.errors import error_body, error_event, error_headers, status_of


@pytest.mark.parametrize("code", KINDS)
def test_every_failure_has_openai_shape(code: str) -> None:
    failure = Failure(KINDS[code], "went wrong", param="model")
    body = msgspec.json.decode(error_body(failure, "id-1"))
    assert body == {
        "error": {"message": "went wrong (request id-1)", "type": KINDS[code].type, "param": "model", "code": code}
    }
    assert 400 <= status_of(failure) < 600
    event = error_event(failure, "id-1")
    assert event.startswith(b"data: ")
    assert event.endswith(b"\n\n")
    assert event.count(b"\n") == 2
    assert msgspec.json.decode(event[6:]) == body


def test_rejection_by_provider_is_passed_on() -> None:
    theirs = b'{"error":{"message":"their words","code":"x"}}'
    failure = Failure(failures.UPSTREAM_REFUSED, "m", status=422, body=theirs)
    assert error_body(failure, "id") == theirs
    assert status_of(failure) == 422


@pytest.mark.parametrize("status", [401, 402, 408, 429])
def test_faulty_request_never_gets_a_retry_or_key_status(status: int) -> None:
    assert status_of(Failure(failures.UPSTREAM_TOO_LARGE, "m", status=status)) == 413
    assert status_of(Failure(failures.CONTENT_FILTERED, "m", status=403)) == 403


def test_provider_message_follows_the_gateway_message() -> None:
    failure = Failure(failures.UPSTREAM_REFUSED, "it answered 400", status=400, quote="bad temperature")
    for text in (error_body(failure, "id"), error_event(failure, "id")):
        assert b'"it answered 400: bad temperature (request id)"' in text


def test_body_of_provider_fault_is_not_passed_on() -> None:
    failure = Failure(failures.CREDENTIAL_REJECTED, "m", status=401, body=b'{"error":{"message":"key sk-x is bad"}}')
    assert b"sk-x" not in error_body(failure, "id")
    assert status_of(failure) == 502
    assert status_of(Failure(failures.UPSTREAM_ERROR, "m", status=500)) == 502
    assert status_of(Failure(failures.UPSTREAM_REFUSED, "m", status=599)) == 400


def test_headers_tell_the_client_how_to_retry() -> None:
    limited = Failure(failures.UPSTREAM_RATE_LIMITED, "m", retry_after_s=0.2)
    assert b"retry-after: 1\r\n" in error_headers(limited)
    assert b"x-should-retry" not in error_headers(limited)
    assert b"x-should-retry: false\r\n" in error_headers(Failure(failures.RATE_LIMITED, "m")), "waiting does not help"
    assert b"x-should-retry: false\r\n" in error_headers(limited, should_retry=False)
    assert b"x-should-retry: true\r\n" in error_headers(limited, should_retry=True)
    assert error_headers(Failure(failures.INTERNAL, "m")) == b"content-type: application/json\r\n"
