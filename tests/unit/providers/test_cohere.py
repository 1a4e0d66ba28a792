"""Cohere as a provider: paths, the bound, embeddings, limits and the list of models."""

import json
from typing import Any

import pytest
from msgspec.structs import replace

from fakes.anthropic import message_call
from fakes.cohere import answer, begin, block, end, stream_of, text
from fakes.wire import CHAT, SECRET, drain, parse, rejected, target
from pointsman.domain import failures
from pointsman.domain.failures import Failure
from pointsman.domain.messages import UpstreamRequest
from pointsman.domain.outcomes import Usage
from pointsman.domain.quotas import Allowance, Quota
from pointsman.providers import PROVIDERS, codec_of, dialects_of
from pointsman.providers.api import WholeAnswer

COHERE = PROVIDERS["cohere"]
CODEC = codec_of("cohere", "chat", "openai")
EMBED = codec_of("cohere", "embedding", "openai")
VECTORS = {
    "id": "e-1",
    "embeddings": {"float": [[0.25, -1.5], [1.0, 2.0]]},
    "texts": ["a", "b"],
    "meta": {"api_version": {"version": "2"}, "billed_units": {"input_tokens": 4.0}},
}


def encoded(model: str = "command-a-03-2025", max_tokens: int | None = None, **fields: Any) -> UpstreamRequest:
    candidate = target("cohere", model)
    return CODEC.encode(replace(parse({**CHAT, **fields}), max_tokens=max_tokens), candidate, candidate.keys[0])


def embedded(**fields: Any) -> UpstreamRequest:
    candidate = target("cohere", "embed-v4.0")
    return EMBED.encode(parse({"model": "m", **fields}, "/embeddings"), candidate, candidate.keys[0])


def test_provider_speaks_its_own_dialect_only() -> None:
    assert dialects_of(COHERE) == ("cohere",)
    assert CODEC.is_translating
    assert EMBED.is_translating


def test_chat_has_its_path_its_model_and_its_bound() -> None:
    request = encoded(max_tokens=50, max_completion_tokens=900)
    assert request.target == b"/base/v2/chat"
    assert b"authorization: Bearer %b\r\n" % SECRET.encode() in request.headers
    assert json.loads(request.body) == {
        "model": "command-a-03-2025",
        "messages": [{"role": "user", "content": "hello"}],
        "stream": False,
        "max_tokens": 50,
    }


@pytest.mark.parametrize(
    ("model", "thinks"),
    [("command-a-reasoning-08-2025", True), ("command-a-plus-05-2026", True), ("command-a-03-2025", False)],
)
def test_only_models_that_reason_get_a_budget(model: str, thinks: bool) -> None:
    assert ("thinking" in json.loads(encoded(model, reasoning_effort="low").body)) is thinks


def test_answers_in_the_dialects_of_clients() -> None:
    found = CODEC.decode(parse(CHAT), json.dumps(answer(text("Hello"))).encode(), now_unix_s=1.0)
    assert isinstance(found, WholeAnswer)
    assert found.usage == Usage(20, 30, tokens_cached=8)
    chat = json.loads(found.body)
    assert (chat["choices"][0]["message"]["content"], chat["model"]) == ("Hello", "m")
    stream = stream_of(begin(), *block(0, "text", "Hel", "lo"), end())
    decoder = codec_of("cohere", "chat", "anthropic").decoder(
        message_call({"model": "m", "max_tokens": 9, "messages": CHAT["messages"], "stream": True}), 1 << 20, 1.0
    )
    out = drain(decoder, [stream])
    assert decoder.is_done
    assert b'"text":"Hel"' in out
    native = COHERE.codecs["chat"].decoder(parse({**CHAT, "stream": True}), 1 << 20)
    assert drain(native, [stream]) == stream
    assert native.is_done


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ({"message": "no"}, failures.UPSTREAM_ERROR),
        ({"id": "1"}, failures.TRUNCATED),
        (answer(finish="ERROR"), failures.UPSTREAM_ERROR),
        ([], failures.MALFORMED_ANSWER),
    ],
)
def test_answer_of_no_use_is_a_failure(value: object, kind: failures.Kind) -> None:
    found = CODEC.decode(parse(CHAT), json.dumps(value).encode())
    assert isinstance(found, Failure)
    assert found.kind is kind


def test_embeddings_are_translated() -> None:
    request = embedded(input="a", dimensions=256, user="u")
    assert request.target == b"/base/v2/embed"
    assert request.dropped == ("user",)
    assert json.loads(request.body) == {
        "model": "embed-v4.0",
        "texts": ["a"],
        "output_dimension": 256,
        "embedding_types": ["float"],
        "input_type": "search_document",
        "truncate": "NONE",
    }
    given = json.loads(
        embedded(input=["a", "b"], encoding_format="base64", input_type="search_query", truncate="END").body
    )
    assert given["texts"] == ["a", "b"]
    assert (given["embedding_types"], given["input_type"], given["truncate"]) == (["float"], "search_query", "END")


def test_embeddings_that_cohere_lacks_are_rejected() -> None:
    assert rejected(lambda: embedded(input=[1, 2])).kind is failures.NOT_SUPPORTED


def test_answer_with_embeddings() -> None:
    call = parse({"model": "m", "input": ["a", "b"]}, "/embeddings")
    found = EMBED.decode(call, json.dumps(VECTORS).encode())
    assert isinstance(found, WholeAnswer)
    assert found.usage == Usage(4, 0)
    assert json.loads(found.body) == {
        "object": "list",
        "model": "m",
        "data": [
            {"object": "embedding", "index": 0, "embedding": [0.25, -1.5]},
            {"object": "embedding", "index": 1, "embedding": [1.0, 2.0]},
        ],
        "usage": {"prompt_tokens": 4, "total_tokens": 4},
    }
    packed = parse({"model": "m", "input": ["a", "b"], "encoding_format": "base64"}, "/embeddings")
    base64 = EMBED.decode(packed, json.dumps(VECTORS).encode())
    assert isinstance(base64, WholeAnswer)
    assert [one["embedding"] for one in json.loads(base64.body)["data"]] == ["AACAPgAAwL8=", "AACAPwAAAEA="]
    for bad in (b"", b"{", b"{}", b'{"message":"no"}', b'{"embeddings":{"float":[]}}'):
        assert isinstance(EMBED.decode(call, bad), Failure)


def test_limit_of_a_trial_key() -> None:
    headers = {b"x-trial-endpoint-call-limit": b"40", b"x-trial-endpoint-call-remaining": b"3"}
    assert COHERE.quota(headers, 0.0) == Quota(Allowance(40, 3))
    assert COHERE.quota({}, 0.0) is None
    assert COHERE.quota({b"x-trial-endpoint-call-remaining": b"3"}, 0.0) is None


def test_list_has_the_models_that_can_be_called() -> None:
    body = json.dumps(
        {
            "models": [
                {"name": "command-a-03-2025", "endpoints": ["generate", "chat"]},
                {"name": "embed-v4.0", "endpoints": ["embed", "classify"]},
                {"name": "old", "endpoints": ["summarize"]},
            ]
        }
    )
    lists = COHERE.lists
    assert lists is not None
    assert lists.names(body.encode()) == ["command-a-03-2025", "embed-v4.0"]
    assert lists.next_page(body.encode()) == ""
    assert lists.next_page(b'{"models":[],"next_page_token":"a b"}') == "page_token=a%20b"
