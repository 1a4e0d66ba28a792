"""Errors in Google's format, also in streams."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from pointsman.simulate import Settings, SimulatedProvider
from pointsman.simulate.answers import error
from pointsman.simulate.gemini_errors import error_event, google_error, named, wrong_key

PATH = "/v1beta/models/gpt-4o:generateContent"
HELLO = {"role": "user", "parts": [{"text": "Hello there"}]}


def test_errors_of_other_dialects_are_translated() -> None:
    assert json.loads(named(error(400, "no")).body)["error"] == {
        "code": 400,
        "message": "no",
        "status": "INVALID_ARGUMENT",
    }
    own = google_error(404)
    assert named(own) is own
    assert json.loads(wrong_key().body)["error"]["details"][0]["reason"] == "API_KEY_INVALID"
    assert json.loads(error_event(529).data.removeprefix(b"data: "))["error"]["status"] == "UNAVAILABLE"


@pytest.mark.parametrize(
    ("fault", "code", "status"),
    [
        ("rate_limit=7", 429, "RESOURCE_EXHAUSTED"),
        ("overloaded", 503, "UNAVAILABLE"),
        ("wrong_key", 400, "INVALID_ARGUMENT"),
        ("status=418", 418, "INVALID_ARGUMENT"),
        ("status=500", 500, "INTERNAL"),
    ],
)
def test_errors_have_googles_shape(
    run: Callable[..., None], ask: Callable[..., Awaitable[Any]], fault: str, code: int, status: str
) -> None:
    async def main() -> None:
        async with SimulatedProvider(Settings()) as provider:
            provider.set_fault(fault)
            received = await ask(provider, {"contents": [HELLO]}, path=PATH)
            error = json.loads(received.body)["error"]
            assert (received.status, error["code"], error["status"]) == (code, code, status)
            if fault == "rate_limit=7":
                assert error["details"][0]["retryDelay"] == "7s"

    run(main())
