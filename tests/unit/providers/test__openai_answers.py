"""Whole answers with status 200 are judged by the same rules as streams."""

import json
from typing import Any

import pytest

from fakes.wire import CHAT, parse
from pointsman.domain.calls import Call
from pointsman.domain.failures import Failure
from pointsman.domain.outcomes import Usage
from pointsman.providers._openai_answers import judge, judge_passed
from pointsman.providers.api import WholeAnswer

TEXT = parse({"model": "m", "prompt": "x"}, "/completions")
VECTORS = parse({"model": "m", "input": "x"}, "/embeddings")
STOPPED = {"index": 0, "message": {"role": "assistant", "content": "x"}, "finish_reason": "stop"}


def judged(call: Call, body: object) -> str:
    """Return `ok`, or the code of the failure."""
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    is_read = call.operation in ("chat", "completion", "embedding")
    answer = judge(call, text, ()) if is_read else judge_passed(call, text, ())
    if isinstance(answer, Failure):
        return answer.kind.code
    assert answer.body == text
    return "ok"


def chosen(**fields: Any) -> dict[str, Any]:
    return {"choices": [{**STOPPED, **fields}], "usage": {"prompt_tokens": 1}}


@pytest.mark.parametrize(
    ("call", "body", "expected"),
    [
        (parse(CHAT), {}, "malformed_answer"),
        (parse(CHAT), {"choices": []}, "malformed_answer"),
        (parse(CHAT), {"choices": None}, "malformed_answer"),
        (parse(CHAT), {"choices": [{}]}, "malformed_answer"),
        (parse(CHAT), {"choices": [{"message": None}]}, "malformed_answer"),
        (parse(CHAT), chosen(message={"role": "assistant", "content": ""}, finish_reason=None), "truncated"),
        (parse(CHAT), {"message": "a model is loading", "object": "error"}, "malformed_answer"),
        (parse(CHAT), chosen(finish_reason="error"), "upstream_error"),
        (parse(CHAT), chosen(message={"content": None}, finish_reason="error"), "upstream_error"),
        (parse(CHAT), {"choices": [STOPPED, {**STOPPED, "finish_reason": "error"}]}, "upstream_error"),
        (parse(CHAT), {**chosen(), "error": {"message": "x", "code": 429}}, "upstream_rate_limited"),
        (parse(CHAT), chosen(), "ok"),
        (parse(CHAT), chosen(finish_reason="eos"), "ok"),
        (parse(CHAT), chosen(finish_reason=None), "ok"),
        (parse(CHAT), chosen(message={"content": None}), "ok"),
        (parse(CHAT), chosen(message={"images": [{"url": "x"}]}, finish_reason=None), "ok"),
        (parse(CHAT), chosen(message={"content": "X"}, finish_reason=None), "ok"),
        (TEXT, {"choices": [{"text": "x", "finish_reason": "length"}], "usage": {}}, "ok"),
        (TEXT, {"choices": [{"text": "", "finish_reason": "stop"}]}, "ok"),
        (TEXT, {"choices": [{"text": ""}]}, "truncated"),
        (TEXT, {"choices": [{"finish_reason": "stop"}]}, "malformed_answer"),
        (TEXT, {"choices": []}, "malformed_answer"),
        (VECTORS, {"data": [{"embedding": [0.5]}], "usage": {"prompt_tokens": 1}}, "ok"),
        (VECTORS, {"data": [{"embedding": "AAAA"}]}, "ok"),
        (VECTORS, {"data": []}, "malformed_answer"),
        (VECTORS, {"data": [{"embedding": []}]}, "malformed_answer"),
        (VECTORS, {"data": [{"embedding": [1]}, {"index": 1}]}, "malformed_answer"),
        (VECTORS, {}, "malformed_answer"),
        (VECTORS, {"error": {"message": "x"}}, "upstream_error"),
    ],
)
def test_generated_answers_are_judged(call: Call, body: object, expected: str) -> None:
    assert judged(call, body) == expected


RESPONSE = parse({"model": "m", "input": "x"}, "/responses")
IMAGE = parse({"model": "m", "prompt": "x"}, "/images/generations")
ERROR = {"error": {"message": "x", "code": "server_error"}}
FAILED = {"id": "r", "object": "response", "status": "failed", "output": [], **ERROR}
JOB = {"id": "j", "object": "fine_tuning.job", **ERROR}


@pytest.mark.parametrize(
    ("call", "body", "expected"),
    [
        (RESPONSE, {"id": "r", "output": []}, "ok"),
        (RESPONSE, {"id": "r", "status": "queued"}, "ok"),
        (RESPONSE, {"id": "r", "error": None, "output": [{"x": 1}], "usage": {"input_tokens": 3}}, "ok"),
        (RESPONSE, {"id": "r", "status": "completed"}, "malformed_answer"),
        (RESPONSE, FAILED, "upstream_error"),
        (RESPONSE, {**FAILED, "error": None}, "upstream_error"),
        (RESPONSE, {}, "malformed_answer"),
        (parse(b"", "/responses/r", "GET"), FAILED, "ok"),
        (IMAGE, {"data": [{"b64_json": "AA=="}]}, "ok"),
        (IMAGE, {"data": []}, "malformed_answer"),
        (IMAGE, {"created": 1}, "malformed_answer"),
        (parse({"input": "x"}, "/moderations"), {"results": []}, "malformed_answer"),
        (parse({"input": "x"}, "/moderations"), {"results": [{}]}, "ok"),
        (parse({"query": "x"}, "/rerank"), [{"index": 0}], "ok"),
        (parse({"query": "x"}, "/rerank"), [], "malformed_answer"),
        (parse(b"", "/files", "GET"), {"data": []}, "ok"),
        (parse(b"", "/files", "GET"), b"{ }", "malformed_answer"),
        (parse(b"", "/files", "GET"), ERROR, "upstream_error"),
        (parse(b"", "/fine_tuning/jobs/j", "GET"), JOB, "ok"),
        (parse({}, "/fine_tuning/jobs", "POST"), JOB, "ok"),
        (parse(b"", "/files/f", "DELETE"), b"", "ok"),
        (parse(b"", "/batches/b", "GET"), b"", "malformed_answer"),
    ],
)
def test_passed_through_answers_are_judged(call: Call, body: object, expected: str) -> None:
    assert judged(call, body) == expected


@pytest.mark.parametrize("call", [parse(CHAT), TEXT, VECTORS, RESPONSE, IMAGE, parse(b"", "/batches", "GET")])
def test_truncated_empty_or_html_body_is_malformed(call: Call) -> None:
    whole = {"choices": [{**STOPPED, "text": "x"}], "data": [{"embedding": [1]}], "output": [], "usage": {}}
    text = json.dumps(whole).encode()
    assert judged(call, text) == "ok"
    for at in range(len(text)):
        assert judged(call, text[:at]) == "malformed_answer"
    for body in (b"\n", b"<!doctype html><html></html>", b"OK", b"null", text + b"}"):
        assert judged(call, body) == "malformed_answer"


def test_half_a_surrogate_pair_does_not_invalidate_answer() -> None:
    body = json.dumps(chosen(finish_reason="eos")).encode().replace(b'"x"', rb'"\ud83d"')
    for text in (body, body.replace(b'"eos"', b'"stop"')):
        answer = judge(parse(CHAT), text, ())
        assert answer == WholeAnswer(text, Usage(1))
