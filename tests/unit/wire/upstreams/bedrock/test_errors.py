"""Errors of Amazon's APIs."""

import json

import pytest

from pointsman.wire.upstreams.bedrock.errors import error_body, read_error


@pytest.mark.parametrize(
    ("header", "body", "expected"),
    [
        ("ThrottlingException", {"message": "m"}, ("ThrottlingException", "m")),
        ("ThrottlingException:http://internal.amazon.com/coral/", {"Message": "m"}, ("ThrottlingException", "m")),
        ("com.amazon.coral#ValidationException:http://x/", {}, ("ValidationException", "")),
        (
            "",
            {"__type": "com.amazon.coral.service#ExpiredTokenException", "message": "m"},
            ("ExpiredTokenException", "m"),
        ),
        ("", {"message": "only a text"}, ("", "only a text")),
        ("", {"message": None}, None),
        ("", [1], None),
    ],
)
def test_kind_and_message(header: str, body: object, expected: tuple[str, str] | None) -> None:
    headers = {b"x-amzn-errortype": header.encode()} if header else {}
    found = read_error(headers, json.dumps(body).encode())
    if expected is None:
        assert found is None
        return
    assert found is not None
    error = json.loads(found)["error"]
    assert (error["type"], error["message"]) == expected


def test_header_alone_is_enough() -> None:
    found = read_error({b"x-amzn-errortype": b"ServiceUnavailableException"}, b"<html>")
    assert found == error_body("", "ServiceUnavailableException")
