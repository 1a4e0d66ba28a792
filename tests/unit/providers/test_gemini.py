"""Gemini as a provider: the path, the bound, the judgement of answers, and the wait after an error."""

import json
from typing import Any

import pytest
from msgspec.structs import replace

from fakes.anthropic import HELLO, message_call
from fakes.gemini import USAGE, answer, call, stream_of, text
from fakes.wire import CHAT, SECRET, drain, parse, target
from pointsman.domain import failures
from pointsman.domain.failures import Failure, Rejection
from pointsman.domain.messages import UpstreamRequest
from pointsman.domain.outcomes import Usage
from pointsman.providers import PROVIDERS, codec_of, dialects_of
from pointsman.providers.api import WholeAnswer

SPENT = Usage(20, 30, tokens_reasoning=12, tier="standard")
NATIVE = PROVIDERS["gemini"].codecs["chat"]
CODEC = codec_of("gemini", "chat", "openai")


def encoded(model: str = "gemini-2.5-flash", max_tokens: int | None = None, **fields: Any) -> UpstreamRequest:
    given = replace(parse({**CHAT, **fields}), max_tokens=max_tokens)
    candidate = target("gemini", model, "/v1beta")
    return CODEC.encode(given, candidate, candidate.keys[0])


def decoded(value: Any) -> WholeAnswer | Failure:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return CODEC.decode(parse(CHAT), body, now_unix_s=1.0)


def test_provider_speaks_its_own_dialect_only() -> None:
    assert dialects_of(PROVIDERS["gemini"]) == ("gemini",)
    assert CODEC.is_translating
    assert CODEC.dialect == "gemini"


@pytest.mark.parametrize(
    ("model", "stream", "expected"),
    [
        ("gemini-2.5-flash", False, "/v1beta/models/gemini-2.5-flash:generateContent"),
        ("gemini-2.5-flash", True, "/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse"),
        ("models/gemini-2.5-pro", False, "/v1beta/models/gemini-2.5-pro:generateContent"),
        ("tunedModels/mine", False, "/v1beta/tunedModels/mine:generateContent"),
        ("a/b:c?d#\u00fc", False, "/v1beta/models/a%2Fb%3Ac%3Fd%23%C3%BC:generateContent"),
    ],
)
def test_path_names_the_model_and_the_method(model: str, stream: bool, expected: str) -> None:
    request = encoded(model, stream=stream)
    assert request.target == expected.encode()
    assert b"x-goog-api-key: %b\r\n" % SECRET.encode() in request.headers
    assert b"authorization" not in request.headers
    assert json.loads(request.body) == {"contents": [{"role": "user", "parts": [{"text": "hello"}]}]}


def test_bound_of_the_call_is_sent() -> None:
    assert json.loads(encoded(max_tokens=50).body)["generationConfig"] == {"maxOutputTokens": 50}
    lowered = json.loads(encoded(max_tokens=50, max_completion_tokens=900).body)
    assert lowered["generationConfig"] == {"maxOutputTokens": 50}


def test_answer_of_a_chat() -> None:
    found = decoded(answer(text("Hello"), finish="STOP", usageMetadata=USAGE))
    assert isinstance(found, WholeAnswer)
    assert (found.usage, found.refused) == (SPENT, None)
    chat = json.loads(found.body)
    assert chat["choices"][0]["message"]["content"] == "Hello"
    assert chat["choices"][0]["finish_reason"] == "stop"
    assert chat["usage"]["completion_tokens"] == 30
    assert chat["usage"]["completion_tokens_details"]["reasoning_tokens"] == 12


@pytest.mark.parametrize(
    "value",
    [
        {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 4}},
        answer(finish="SAFETY", usageMetadata={"promptTokenCount": 4}),
    ],
)
def test_blocked_answer_counts_as_filtered(value: Any) -> None:
    found = decoded(value)
    assert isinstance(found, WholeAnswer)
    assert (found.refused, found.usage) == (failures.FILTERED, Usage(4, 0))
    assert json.loads(found.body)["choices"][0]["finish_reason"] == "content_filter"
    decoder = CODEC.decoder(parse({**CHAT, "stream": True}), 1 << 20)
    drain(decoder, [stream_of(value)])
    assert (decoder.refused, decoder.is_done, decoder.failure) == (failures.FILTERED, True, None)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (b"", failures.MALFORMED_ANSWER),
        (b"<html>", failures.MALFORMED_ANSWER),
        (b"{}", failures.MALFORMED_ANSWER),
        ({"candidates": []}, failures.MALFORMED_ANSWER),
        ({"candidates": [{}]}, failures.TRUNCATED),
        ({"candidates": [{}], "usageMetadata": USAGE}, failures.TRUNCATED),
        (answer(text(""), usageMetadata=USAGE), failures.TRUNCATED),
        (answer({"text": "", "thoughtSignature": "YQ=="}, usageMetadata=USAGE), failures.TRUNCATED),
        (answer(text("a"), finish="MALFORMED_FUNCTION_CALL"), failures.UPSTREAM_ERROR),
        (answer(call("f", args=[1]), finish="STOP"), failures.MALFORMED_ANSWER),
        ({"error": {"code": 429, "message": "m", "status": "RESOURCE_EXHAUSTED"}}, failures.UPSTREAM_RATE_LIMITED),
        ({"error": {"code": 503, "message": "m", "status": "UNAVAILABLE"}}, failures.UPSTREAM_OVERLOADED),
        ({"error": {"message": "m"}}, failures.UPSTREAM_ERROR),
    ],
)
def test_answer_that_is_none(value: Any, kind: failures.Kind) -> None:
    found = decoded(value)
    assert isinstance(found, Failure)
    assert (found.kind, found.body) == (kind, None)


def test_clients_of_its_dialect_get_no_answer_without_a_valid_end() -> None:
    found = NATIVE.decode(parse(CHAT), json.dumps(answer(text("a"), finish="MALFORMED_FUNCTION_CALL")).encode())
    assert isinstance(found, Failure)
    assert found.kind is failures.UPSTREAM_ERROR


def test_error_in_a_stream_has_the_fault_of_its_status() -> None:
    decoder = CODEC.decoder(parse({**CHAT, "stream": True}), 1 << 20)
    drain(decoder, [stream_of({"error": {"code": 503, "message": "m", "status": "UNAVAILABLE"}})])
    assert decoder.failure is not None
    assert (decoder.failure.kind, decoder.has_content) == (failures.UPSTREAM_OVERLOADED, False)


@pytest.mark.parametrize(
    ("headers", "expected"), [({}, 34.5), ({b"retry-after": b"3"}, 3.0)], ids=["of the details", "of the header"]
)
def test_wait_after_a_limit(headers: dict[bytes, bytes], expected: float) -> None:
    detail = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.5s"}
    error = {"code": 429, "message": "Please retry in 9s.", "status": "RESOURCE_EXHAUSTED", "details": [detail]}
    failure = CODEC.failure(429, headers, json.dumps({"error": error}).encode(), 0.0)
    assert (failure.kind, failure.retry_after_s) == (failures.UPSTREAM_RATE_LIMITED, expected)


def test_message_of_a_rejected_key_does_not_quote_the_provider() -> None:
    error = {"code": 400, "message": "API key not valid. AIza-secret", "status": "INVALID_ARGUMENT"}
    failure = CODEC.failure(400, {}, json.dumps({"error": error}).encode(), 0.0)
    assert failure.kind is failures.CREDENTIAL_REJECTED
    assert "AIza" not in failure.for_client


def test_whole_answer_is_no_stream() -> None:
    found = NATIVE.decode(parse(CHAT), json.dumps(answer(text("a"), finish="STOP")).encode(), as_stream=True)
    assert isinstance(found, Failure)


def test_own_decoder_passes_on_the_events() -> None:
    decoder = NATIVE.decoder(parse(CHAT), 1 << 20)
    stream = stream_of(answer(text("a")), answer(call("f"), finish="STOP", usageMetadata=USAGE))
    assert drain(decoder, [stream]) == stream.replace(b"\r\n", b"\n")
    assert (decoder.is_done, decoder.usage, decoder.events) == (True, SPENT, 2)
    assert b"m (request r)" in decoder.error_event(Failure(failures.TRUNCATED, "m"), "r")


def test_usage_of_an_answer_that_failed_is_known() -> None:
    body = json.dumps(answer(finish="OTHER", usageMetadata=USAGE)).encode()
    assert CODEC.usage_in(body) == SPENT
    assert CODEC.usage_in(b"{") is None


@pytest.mark.parametrize("depth", [100, 900, 985, 990, 995, 1_000])
@pytest.mark.parametrize("model", ["gemini-2.5-flash", "gemini-3-flash-preview"])
def test_arguments_of_any_depth_are_sent(model: str, depth: int) -> None:
    arguments = '{"a":' * depth + "1" + "}" * depth
    made = {"id": "1", "type": "function", "function": {"name": "f", "arguments": arguments}}
    messages = [
        *CHAT["messages"],
        {"role": "assistant", "tool_calls": [made]},
        {"role": "tool", "tool_call_id": "1", "content": "x"},
    ]
    assert b'"functionCall"' in encoded(model, messages=messages).body


@pytest.mark.parametrize("depth", [100, 900, 985, 990, 995, 1_000])
def test_schema_of_any_depth_is_sent_or_rejected(depth: int) -> None:
    schema = b'{"a":' * depth + b"1" + b"}" * depth
    form = b'{"type":"json_schema","json_schema":{"name":"n","schema":%b}}' % schema
    body = b'{"model":"m","messages":[{"role":"user","content":"a"}],"response_format":%b}' % form
    candidate = target("gemini", "gemini-2.5-flash")
    try:
        assert b"responseJsonSchema" in CODEC.encode(parse(body), candidate, candidate.keys[0]).body
    except Rejection as rejection:
        status = rejection.failure.kind.status
    else:
        status = 400
    assert status == 400


def test_budget_of_a_client_is_a_budget_or_a_level() -> None:
    given = message_call({**HELLO, "max_tokens": 5_000, "thinking": {"type": "enabled", "budget_tokens": 2_000}})
    codec, sent = codec_of("gemini", "chat", "anthropic"), []
    for model in ("gemini-2.5-flash", "gemini-3-flash-preview"):
        candidate = target("gemini", model)
        body = json.loads(codec.encode(given, candidate, candidate.keys[0]).body)
        sent.append(body["generationConfig"]["thinkingConfig"])
    assert sent == [
        {"includeThoughts": True, "thinkingBudget": 2_000},
        {"includeThoughts": True, "thinkingLevel": "medium"},
    ]
