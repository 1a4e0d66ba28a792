"""Errors in Anthropic's format."""

import json

import pytest

from pointsman.simulate.answers import error
from pointsman.simulate.anthropic_errors import anthropic_error, anthropic_replacement, error_event, invalid, named
from pointsman.simulate.faults import FAULTS, parse


@pytest.mark.parametrize(
    ("fault", "status", "kind"),
    [
        ("rate_limit=2", 429, "rate_limit_error"),
        ("key_limit=2", 429, "rate_limit_error"),
        ("insufficient_quota", 400, "invalid_request_error"),
        ("no_balance", 402, "billing_error"),
        ("context_length", 400, "invalid_request_error"),
        ("wrong_key", 401, "authentication_error"),
        ("model_denied", 403, "permission_error"),
        ("too_large", 413, "request_too_large"),
        ("overloaded", 529, "overloaded_error"),
        ("status=500", 500, "api_error"),
        ("status=503", 503, "api_error"),
        ("status=504", 504, "timeout_error"),
        ("status=418", 418, "invalid_request_error"),
        ("no_endpoint", 404, "not_found_error"),
    ],
)
def test_errors_replace_the_answer(fault: str, status: int, kind: str) -> None:
    answer = anthropic_replacement(parse(fault))
    assert answer is not None
    body = json.loads(answer.body)
    assert (answer.status, body["type"], body["error"]["type"]) == (status, "error", kind)
    assert body["error"]["message"]


def test_limit_names_its_wait() -> None:
    answer = anthropic_replacement(parse("rate_limit=2"))
    assert answer is not None
    assert dict(answer.headers)["retry-after"] == "2"


def test_every_error_of_openai_has_a_counterpart() -> None:
    from pointsman.simulate.content_faults import replacement_error

    for name, default in FAULTS.items():
        faults = parse(name if default is not None else f"{name}=500")
        assert (replacement_error(faults) is None) == (anthropic_replacement(faults) is None), name


def test_error_has_the_id_of_its_request() -> None:
    body = json.loads(named(error(404, "Invalid URL"), "req_1").body)
    assert body == {
        "type": "error",
        "error": {"type": "not_found_error", "message": "Invalid URL"},
        "request_id": "req_1",
    }
    assert json.loads(named(anthropic_error(529), "req_1").body)["error"]["message"] == "Overloaded"


def test_event_and_exception_have_the_same_error() -> None:
    event = error_event(529).data
    assert event.startswith(b"event: error\ndata: ")
    assert json.loads(event.split(b"data: ")[1])["error"] == {"type": "overloaded_error", "message": "Overloaded"}
    assert json.loads(invalid("x: wrong").answer.body)["error"]["message"] == "x: wrong"
