"""Building blocks of endpoints: strict decoding, errors in the API's format, events."""

import json

import pytest
from msgspec import Struct

from fakes.simulated import context_for, rejected
from pointsman.simulate.answers import error, json_answer, names, sse, usage


class Body(Struct):
    model: str
    count: int = 1


KNOWN = names("model count extra")


def test_body_is_decoded() -> None:
    assert context_for({"model": "gpt-4o", "count": 2, "extra": None}).decode(Body, KNOWN) == Body("gpt-4o", 2)


@pytest.mark.parametrize(
    ("body", "status", "code", "param", "words"),
    [
        ({"model": "gpt-4o", "b": 1, "a": 2}, 400, "unknown_parameter", None, "argument supplied: a"),
        ({"count": 1}, 400, "missing_required_parameter", "model", "'model'"),
        ({"model": "gpt-4o", "count": "x"}, 400, "invalid_type", "count", "'count'"),
        ({"model": "gpt-9"}, 404, "model_not_found", None, "`gpt-9`"),
        (b"{", 400, None, None, "JSON"),
        (b"\xff", 400, None, None, "JSON"),
    ],
)
def test_invalid_body_is_rejected_with_a_message(
    body: object, status: int, code: str | None, param: str | None, words: str
) -> None:
    found = rejected(lambda: context_for(body).decode(Body, KNOWN))
    assert (found["status"], found["code"], found["param"]) == (status, code, param)
    assert words in found["message"]
    assert found["type"] == "invalid_request_error"


def test_unknown_model_is_not_found() -> None:
    context_for(models=("mine",)).require_model("mine")
    assert rejected(lambda: context_for(models=("mine",)).require_model("gpt-4o"))["status"] == 404


def test_ids_name_provider_and_request() -> None:
    assert context_for(name="alpha", index=7).new_id("file-") == "file-alpha00000007"


def test_errors_have_openais_format() -> None:
    answer = error(429, "slow down", "requests", code="rate_limit_exceeded", param="p")
    expected = {"message": "slow down", "type": "requests", "param": "p", "code": "rate_limit_exceeded"}
    assert (answer.status, json.loads(answer.body)) == (429, {"error": expected})


def test_events_are_encoded() -> None:
    plain, named = sse({"a": 1}), sse({"a": "\n"}, "response.created", tokens=2)
    assert (plain.data, plain.tokens, plain.is_content) == (b'data: {"a":1}\n\n', 0, False)
    assert named.data == b'event: response.created\ndata: {"a":"\\n"}\n\n'
    assert (named.tokens, named.is_content) == (2, True)


def test_answers_carry_their_tokens() -> None:
    answer = json_answer({"a": 1}, tokens_in=3, tokens_out=4)
    assert (answer.status, answer.content_type, answer.body) == (200, "application/json", b'{"a":1}')
    assert (answer.tokens_in, answer.tokens_cached, answer.tokens_out) == (3, 0, 4)
    counts = usage(10, 4, 5)
    assert (counts["total_tokens"], counts["prompt_tokens_details"]["cached_tokens"]) == (15, 4)
