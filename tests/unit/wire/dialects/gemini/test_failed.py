"""Failures in Google's shape."""

import json
from typing import Any

import pytest
from msgspec.structs import replace

from pointsman.domain import failures
from pointsman.domain.failures import Failure, Kind
from pointsman.wire.dialects.gemini.failed import error_body, error_event
from pointsman.wire.sse import event_data


def error(failure: Failure) -> Any:
    return json.loads(error_body(failure, "q-1"))["error"]


@pytest.mark.parametrize(
    ("kind", "code", "status"),
    [
        (failures.INVALID_REQUEST, 400, "INVALID_ARGUMENT"),
        (failures.UNKNOWN_KEY, 401, "UNAUTHENTICATED"),
        (failures.MODEL_NOT_FOUND, 404, "NOT_FOUND"),
        (failures.RATE_LIMITED, 429, "RESOURCE_EXHAUSTED"),
        (failures.INTERNAL, 500, "INTERNAL"),
    ],
)
def test_code_is_the_status_of_http(kind: Kind, code: int, status: str) -> None:
    found = error(Failure(kind, "a message", param="a field"))
    assert (found["code"], found["status"], found["message"]) == (code, status, "a message (request q-1)")
    (info,) = found["details"]
    assert (info["reason"], info["domain"]) == (kind.code.upper(), "pointsman")
    assert info["metadata"] == {"code": kind.code, "requestId": "q-1", "param": "a field"}


def test_time_to_wait_is_a_detail() -> None:
    details = error(Failure(failures.RATE_LIMITED, "wait", retry_after_s=2.1))["details"]
    assert details[1] == {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "3s"}


def test_body_of_google_passes_and_the_message_of_another_is_kept() -> None:
    rejected = Failure(failures.UPSTREAM_REFUSED, "the provider rejected it", status=400)
    own = b'{"error":{"code":400,"message":"no","status":"INVALID_ARGUMENT","details":[1]}}'
    assert error_body(replace(rejected, body=own), "q-1") == own
    foreign = replace(rejected, body=b'{"error":{"message":"too hot","type":"x","code":null}}')
    assert error(foreign)["message"] == "too hot (request q-1)"
    assert "rejected" in error(replace(rejected, body=b"<html>"))["message"]


def test_event_has_the_same_body() -> None:
    failure = Failure(failures.INTERNAL, "it failed")
    assert event_data(error_event(failure, "q-1")) == error_body(failure, "q-1")
