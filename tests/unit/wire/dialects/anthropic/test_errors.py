"""Failures in Anthropic's dialect."""

import json

import pytest

from fakes.anthropic import events_of
from pointsman.domain import failures
from pointsman.domain.failures import KINDS, Failure, Kind
from pointsman.wire.dialects.anthropic.errors import error_body, error_event, error_type

TYPES = {
    "invalid_request_error", "authentication_error", "billing_error", "permission_error", "not_found_error",
    "request_too_large", "rate_limit_error", "timeout_error", "api_error", "overloaded_error",
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (failures.INVALID_REQUEST, "invalid_request_error"),
        (failures.UNKNOWN_KEY, "authentication_error"),
        (failures.BUDGET_EXCEEDED, "billing_error"),
        (failures.MODEL_NOT_ALLOWED, "permission_error"),
        (failures.MODEL_NOT_FOUND, "not_found_error"),
        (failures.REQUEST_TOO_LARGE, "request_too_large"),
        (failures.RATE_LIMITED, "rate_limit_error"),
        (failures.INTERNAL, "api_error"),
        (failures.STALLED, "timeout_error"),
        (failures.UPSTREAM_OVERLOADED, "overloaded_error"),
        (failures.NO_TARGET, "api_error"),
        (failures.HEADERS_TOO_LARGE, "invalid_request_error"),
    ],
)
def test_type_follows_the_status(kind: Kind, expected: str) -> None:
    assert error_type(Failure(kind, "x")) == expected


def test_every_failure_has_a_type_of_the_dialect() -> None:
    assert {error_type(Failure(kind, "x")) for kind in KINDS.values()} == TYPES


def test_body_has_the_shape_of_the_dialect() -> None:
    assert json.loads(error_body(Failure(failures.RATE_LIMITED, "wait"), "req-1")) == {
        "type": "error",
        "error": {"type": "rate_limit_error", "message": "wait"},
        "request_id": "req-1",
    }


def test_body_of_anthropic_is_unchanged() -> None:
    body = (
        b'{"type": "error", "error": {"type": "invalid_request_error", "message": "max_tokens: x"}, "request_id": "r"}'
    )
    assert error_body(Failure(failures.UPSTREAM_REFUSED, "x", status=400, body=body), "req-1") == body


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"error":{"message":"bad prompt","type":"invalid_request_error"}}', "bad prompt"),
        (b'{"error":"bad prompt"}', "bad prompt"),
        (b'{"message":"bad prompt"}', "bad prompt"),
        (b'{"error":{"code":1}}', "refused"),
        (b"<html>", "refused"),
    ],
)
def test_message_of_another_dialect_is_passed_on(body: bytes, message: str) -> None:
    found = json.loads(error_body(Failure(failures.UPSTREAM_REFUSED, "refused", status=400, body=body), "req-1"))
    assert found["error"] == {"type": "invalid_request_error", "message": message}


def test_event_ends_a_stream() -> None:
    (event,) = events_of(error_event(Failure(failures.STALLED, "stalled"), "req-1"))
    assert event["error"] == {"type": "timeout_error", "message": "stalled"}
