"""Google's errors in the shape of the error tables."""

import json
from typing import Any

import pytest

from pointsman.wire.dialects.gemini.errors import error_body, read_error


def status(**fields: Any) -> bytes:
    return json.dumps({"error": {"code": 429, "message": "m", "status": "RESOURCE_EXHAUSTED", **fields}}).encode()


def test_reason_and_wait_come_from_the_details() -> None:
    details = [
        {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"quotaId": "PerDay"}]},
        {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "RATE_LIMIT_EXCEEDED"},
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.074824224s"},
    ]
    found = read_error(status(details=details))
    assert found is not None
    assert found.wait_s == 34.074824224
    expected = {"message": "m", "type": "RESOURCE_EXHAUSTED", "code": "RATE_LIMIT_EXCEEDED"}
    assert json.loads(found.body) == {"error": expected}


@pytest.mark.parametrize("details", [None, [], {}, [{"reason": 5}], [{"retryDelay": "soon"}], "x"])
def test_error_without_usable_details_keeps_its_number(details: Any) -> None:
    found = read_error(status(details=details))
    assert found is not None
    assert found.wait_s is None
    assert json.loads(found.body)["error"]["code"] == 429


def test_list_with_an_error_is_an_error() -> None:
    found = read_error(b"[" + status() + b"]")
    assert found is not None
    assert json.loads(found.body)["error"]["type"] == "RESOURCE_EXHAUSTED"


@pytest.mark.parametrize("body", [b"", b"[]", b"<html>", b"{}", b'{"error":"m"}', b'{"error":{"message":"m"}}'])
def test_other_bodies_are_no_errors_of_google(body: bytes) -> None:
    assert read_error(body) is None


def test_error_of_an_answer_names_its_end() -> None:
    assert json.loads(error_body("m", "OTHER")) == {"error": {"message": "m", "type": "OTHER"}}
