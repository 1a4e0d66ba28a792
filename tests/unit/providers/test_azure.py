"""Azure OpenAI: deployments, its two kinds of addresses, its key, and the results of its filter."""

import json
from typing import Any

import msgspec
import pytest

from fakes.wire import CHAT, PATH_OF, SECRET, drain, parse, target
from pointsman.domain import failures
from pointsman.domain.calls import Call
from pointsman.domain.failures import Failure
from pointsman.domain.messages import UpstreamRequest
from pointsman.domain.operations import Operation
from pointsman.domain.targets import Candidate, candidate
from pointsman.providers import PROVIDERS, codec_of

AZURE = PROVIDERS["azure"]
V1, DATED = "/openai/v1", "/openai"


def at(base_path: str, model: str = "gpt-4o", **more: object) -> Candidate:
    fields = {"deployments": {"gpt-4o": "my-4o"}, **more}
    return candidate(msgspec.structs.replace(target("azure", base_path=base_path).endpoint, **fields), model)


def sent(call: Call, item: Candidate) -> UpstreamRequest:
    return AZURE.codecs[call.operation].encode(call, item, item.keys[0])


def event(**fields: Any) -> bytes:
    return b"data: " + json.dumps(fields).encode() + b"\n\n"


@pytest.mark.parametrize("operation", ["chat", "completion", "embedding", "responses", "image", "audio"])
def test_v1_has_the_deployment_as_its_model(operation: Operation) -> None:
    body = CHAT if operation == "chat" else {"model": "m", "prompt": "x", "input": "x"}
    request = sent(parse(body, PATH_OF[operation]), at(V1))
    assert request.target == b"/openai/v1" + PATH_OF[operation].encode()
    assert msgspec.json.decode(request.body)["model"] == "my-4o"
    assert b"\r\napi-key: " + SECRET.encode() + b"\r\n" in request.headers
    assert b"authorization" not in request.headers


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/chat/completions", b"/openai/deployments/my-4o/chat/completions?api-version=2024-10-21"),
        ("/chat/completions?x=1", b"/openai/deployments/my-4o/chat/completions?x=1&api-version=2024-10-21"),
        ("/embeddings", b"/openai/deployments/my-4o/embeddings?api-version=2024-10-21"),
        ("/images/generations", b"/openai/deployments/my-4o/images/generations?api-version=2024-10-21"),
        ("/audio/speech", b"/openai/deployments/my-4o/audio/speech?api-version=2024-10-21"),
        ("/responses", b"/openai/responses?api-version=2024-10-21"),
    ],
)
def test_dated_path_has_the_deployment_and_the_version(path: str, expected: bytes) -> None:
    body = CHAT if path.startswith("/chat") else {"model": "m", "prompt": "x", "input": "x"}
    request = sent(parse(body, path), at(DATED, api_version="2024-10-21"))
    assert request.target == expected
    assert msgspec.json.decode(request.body)["model"] == "my-4o"


def test_v1_may_have_a_version_too() -> None:
    request = sent(parse(CHAT), at(V1, api_version="preview"))
    assert request.target == b"/openai/v1/chat/completions?api-version=preview"


def test_paths_without_a_model_have_no_deployment() -> None:
    request = sent(parse(b"", "/files", "GET"), at(DATED, api_version="2024-10-21"))
    assert request.target == b"/openai/files?api-version=2024-10-21"


@pytest.mark.parametrize(
    ("model", "segment"),
    [("other", b"other"), ("a/b?c#d e", b"a%2Fb%3Fc%23d%20e"), ("..", b"%2E%2E"), ("gpt-4.1", b"gpt-4.1")],
)
def test_model_without_a_deployment_is_one_segment_of_the_path(model: str, segment: bytes) -> None:
    request = sent(parse(CHAT), at(DATED, model, api_version="v"))
    assert request.target == b"/openai/deployments/" + segment + b"/chat/completions?api-version=v"


def test_translated_request_goes_to_the_deployment() -> None:
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hello"}]}
    call, item = parse(body, "/messages", dialect="anthropic"), at(DATED, api_version="v")
    request = codec_of("azure", call.operation, "anthropic").encode(call, item, item.keys[0])
    assert request.target == b"/openai/deployments/my-4o/chat/completions?api-version=v"


def test_results_of_the_filter_pass_through_a_stream() -> None:
    safe = {"hate": {"filtered": False, "severity": "safe"}}
    prompt = event(choices=[], prompt_filter_results=[{"prompt_index": 0, "content_filter_results": safe}])
    word = event(choices=[{"index": 0, "delta": {"content": "a"}, "content_filter_results": safe}], usage=None)
    offsets = event(choices=[{"index": 0, "content_filter_offsets": {"check_offset": 4}, "finish_reason": None}])
    stop = event(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}], usage=None)
    done = b"data: [DONE]\n\n"
    decoder = AZURE.codecs["chat"].decoder(parse({**CHAT, "stream": True}), 10_000)
    assert decoder.feed(prompt) == prompt
    assert not decoder.has_content, "the request may still move to another provider"
    assert drain(decoder, [word, offsets, stop, done]) == word + offsets + stop + done
    assert (decoder.is_done, decoder.failure, decoder.refused) == (True, None, None)


def test_answer_ended_by_the_filter_is_refused() -> None:
    stop = event(choices=[{"index": 0, "delta": {}, "finish_reason": "content_filter"}])
    decoder = AZURE.codecs["chat"].decoder(parse({**CHAT, "stream": True}), 10_000)
    drain(decoder, [stop, b"data: [DONE]\n\n"])
    assert decoder.refused is failures.FILTERED


def test_rejection_by_the_filter_keeps_its_details() -> None:
    error = {
        "message": "The response was filtered due to the prompt triggering Azure OpenAI's content management policy.",
        "type": None,
        "param": "prompt",
        "code": "content_filter",
        "status": 400,
        "innererror": {
            "code": "ResponsibleAIPolicyViolation",
            "content_filter_result": {"violence": {"filtered": True, "severity": "medium"}},
        },
    }
    body = json.dumps({"error": error}).encode()
    codec, call = AZURE.codecs["chat"], parse({**CHAT, "stream": True})
    failure = codec.failure(400, {}, body, 0.0)
    assert (failure.kind, failure.body) == (failures.CONTENT_FILTERED, body)
    inside = codec.decode(parse(CHAT), body)
    assert isinstance(inside, Failure)
    assert inside.kind is failures.CONTENT_FILTERED
    decoder = codec.decoder(call, 10_000)
    drain(decoder, [event(error=error)])
    assert decoder.failure is not None
    assert decoder.failure.kind is failures.CONTENT_FILTERED


def test_models_are_not_listed() -> None:
    assert not AZURE.lists_models, "the list would name models without a deployment"


def test_limits_that_it_does_not_report_are_unknown() -> None:
    headers = {b"x-ratelimit-limit-requests": b"-1", b"x-ratelimit-remaining-requests": b"0"}
    assert AZURE.quota(headers, 0.0) is None
    assert AZURE.quota({b"x-ratelimit-remaining-tokens": b"5000"}, 0.0) is None


def test_key_with_deployments_of_its_own_has_its_own_path() -> None:
    item = at(DATED, api_version="2024-10-21")
    other = msgspec.structs.replace(item.keys[0], deployments={"gpt-4o": "eu-4o"})
    request = AZURE.codecs["chat"].encode(parse(CHAT), item, other)
    assert request.target == b"/openai/deployments/eu-4o/chat/completions?api-version=2024-10-21"
    assert msgspec.json.decode(request.body)["model"] == "eu-4o"
