"""Chat completions: fields that the gateway acts on are typed, and all others pass through unchanged."""

import json
from typing import Any

import msgspec
import pytest
import yaml

from fakes.corpora import recorded, shared
from fakes.wire import CHAT, parse, rejected, target
from pointsman.domain.calls import Call
from pointsman.domain.failures import Rejection
from pointsman.providers import PROVIDERS
from pointsman.wire.generation import MAX_TOKENS

FULL: dict[str, Any] = {
    **CHAT,
    "audio": {"voice": "x", "format": "mp3"},
    "frequency_penalty": 0.5,
    "function_call": "auto",
    "logit_bias": {"50256": -100},
    "logprobs": True,
    "max_completion_tokens": 7,
    "metadata": {"A": "b"},
    "modalities": ["text"],
    "n": 2,
    "parallel_tool_calls": False,
    "prediction": {"type": "content", "content": "x"},
    "presence_penalty": -1,
    "reasoning_effort": "low",
    "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}},
    "seed": 12345678901234567890,
    "service_tier": "auto",
    "stop": ["a", "b"],
    "store": False,
    "temperature": 1,
    "tool_choice": {"type": "function", "function": {"name": "f"}},
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}],
    "top_logprobs": 3,
    "top_p": 0.1,
    "user": "u",
    "web_search_options": {},
    "x-of-some-provider": {"deep": [1, {"model": 2}]},
}


def sent(call: Call, provider: str = "openai") -> dict[str, Any]:
    """Return the fields that the provider receives."""
    codec = PROVIDERS[provider].codecs[call.operation]
    candidate = target(provider)
    found: dict[str, Any] = msgspec.json.decode(codec.encode(call, candidate, candidate.keys[0]).body)
    return found


def test_all_fields_but_model_and_fallbacks_pass_through() -> None:
    call = parse({**FULL, "fallbacks": ["a/b"]})
    assert call.fallbacks == ("a/b",)
    assert sent(call) == {**FULL, "model": "upstream-model"}
    assert list(sent(call)) == list(FULL)


def test_call_holds_the_typed_fields() -> None:
    call = parse({**FULL, "stream": True, "stream_options": {"include_usage": True}})
    assert (call.model, call.stream, call.wants_usage, call.max_tokens, call.choices) == ("m", True, True, 7, 2)
    assert (call.head.method, call.head.path) == ("POST", "/chat/completions")
    plain = parse(CHAT)
    assert (plain.stream, plain.wants_usage, plain.max_tokens, plain.choices) == (False, False, None, 1)
    assert parse({**CHAT, "max_tokens": 5}).max_tokens == 5
    assert parse({**CHAT, "max_tokens": 5, "max_completion_tokens": 6}).max_tokens == 6
    assert parse({**CHAT, "max_tokens": -1}).max_tokens is None
    assert parse({**CHAT, "max_tokens": -1, "max_completion_tokens": 6}).max_tokens is None, (
        "the provider may read either"
    )


@pytest.mark.parametrize("options", [{}, None, {"include_usage": False}, {"include_obfuscation": True}])
def test_usage_is_requested_in_every_stream(options: object) -> None:
    body = {**CHAT, "stream": True, "stream_options": options}
    call = parse(body)
    assert not call.wants_usage
    assert sent(call)["stream_options"] == {**(options if isinstance(options, dict) else {}), "include_usage": True}
    assert "stream_options" not in sent(parse({**CHAT, "stream": False}))


def test_explicit_nulls_pass() -> None:
    nulls = dict.fromkeys(key for key in FULL if key not in ("model", "messages", "fallbacks"))
    body = {**CHAT, **nulls, "stream": None, "stream_options": None, "fallbacks": None}
    call = parse(body)
    assert (call.fallbacks, call.stream) == ((), False)
    assert sent(call) == {**CHAT, **nulls, "stream": None, "stream_options": None, "model": "upstream-model"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("model", 1),
        ("model", ""),
        ("model", None),
        ("model", "x" * 513),
        ("messages", []),
        ("messages", "hello"),
        ("messages", None),
        ("messages", ["hello"]),
        ("messages", [{"content": "no role"}]),
        ("stream", "true"),
        ("stream", 1),
        ("stream_options", True),
        ("stream_options", {"include_usage": "yes"}),
        ("fallbacks", "a/b"),
        ("fallbacks", [1]),
        ("fallbacks", ["x"] * 17),
        ("max_tokens", -2),
        ("max_completion_tokens", 0),
        ("max_tokens", 1.5),
        ("max_tokens", "5"),
        ("n", 0),
        ("n", 129),
        ("n", True),
        ("temperature", "hot"),
        ("top_p", []),
        ("seed", "x"),
        ("stop", 1),
        ("stop", [1]),
        ("tools", {}),
        ("response_format", "json"),
        ("logit_bias", []),
        ("user", 5),
    ],
)
def test_wrong_type_is_a_400_that_names_the_field(field: str, value: object) -> None:
    failure = rejected(lambda: parse({**CHAT, "stream": True, field: value}))
    assert failure.kind.status == 400
    assert failure.param is not None
    assert failure.param.partition("[")[0].partition(".")[0] == field
    assert field in failure.message


@pytest.mark.parametrize("field", ["model", "messages"])
def test_missing_field_is_named(field: str) -> None:
    failure = rejected(lambda: parse({key: value for key, value in CHAT.items() if key != field}))
    assert (failure.kind.status, failure.param) == (400, field)


@pytest.mark.parametrize("content", [5, {"a": 1}, True, [], [5], "", None])
def test_content_of_any_type_passes_through(content: object) -> None:
    body = {**CHAT, "messages": [{"role": "user", "content": content}, {"role": "assistant"}]}
    assert sent(parse(body))["messages"] == body["messages"]


def test_media_beside_contents_of_other_types_count() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    messages: list[dict[str, Any]] = [{"role": "user", "content": [image]}]
    usual = parse({**CHAT, "messages": messages}).media
    odd = parse({**CHAT, "messages": [*messages, {"role": "user", "content": 5}]}).media
    assert usual.count == 1
    assert odd == usual


def test_stream_options_require_a_stream() -> None:
    failure = rejected(lambda: parse({**CHAT, "stream_options": {"include_usage": True}}))
    assert (failure.kind.status, failure.param) == (400, "stream_options")


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
def test_output_bound_above_maximum_is_rejected(field: str) -> None:
    assert parse({**CHAT, field: MAX_TOKENS}).max_tokens == MAX_TOKENS
    assert rejected(lambda: parse({**CHAT, field: MAX_TOKENS + 1})).kind.status == 400


def test_larger_of_two_bounds_is_reserved() -> None:
    assert parse({**CHAT, "max_completion_tokens": 10, "max_tokens": 4000}).max_tokens == 4000
    assert parse({**CHAT, "max_completion_tokens": 20, "max_tokens": 5}).max_tokens == 20


@pytest.mark.parametrize(("field", "value"), [("model", "m\0"), ("model", "m\n"), ("fallbacks", ["a/b", "a/\x7f"])])
def test_unprintable_names_are_rejected(field: str, value: object) -> None:
    failure = rejected(lambda: parse({**CHAT, field: value}))
    assert (failure.kind.status, failure.param) == (400, field)


@pytest.mark.parametrize("name", ["Model", "MESSAGES", "Stream", "\u017ftream", "Fallbacks", "N", "Max_Tokens"])
def test_other_spelling_of_typed_field_is_rejected(name: str) -> None:
    assert rejected(lambda: parse({**CHAT, name: 1})).param == name


def test_examples_of_the_api_description_pass_unchanged() -> None:
    path = shared("specs", "openai-openapi.yaml")
    with path.open(encoding="utf-8") as file:
        document = yaml.load(file, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    seen = 0
    for name in ("/chat/completions", "/completions", "/embeddings"):
        described = document["paths"][name]["post"]["x-oaiMeta"]["examples"]
        for example in described if isinstance(described, list) else [described]:
            text = example["request"]["curl"]
            body = json.loads(text[text.index("-d '") + 4 : text.rindex("'")])
            received = sent(parse(body, name))
            assert _same(body, received), name
            seen += 1
    assert seen >= 8


def test_every_field_of_the_api_description_has_a_valid_value() -> None:
    path = shared("specs", "openai-openapi.yaml")
    with path.open(encoding="utf-8") as file:
        schemas = yaml.load(file, getattr(yaml, "CSafeLoader", yaml.SafeLoader))["components"]["schemas"]
    described = schemas["CreateChatCompletionRequest"]["allOf"][1]["properties"]
    for field, schema in described.items():
        if field in FULL or field in ("stream", "stream_options") or "default" not in schema:
            continue
        body = {**CHAT, field: schema["default"]}
        assert sent(parse(body)) == {**body, "model": "upstream-model"}, field


HOSTS = {
    "api.openai.com": "openai",
    "api.groq.com": "groq",
    "api.mistral.ai": "mistral",
    "api.cerebras.ai": "cerebras",
    "openrouter.ai": "openrouter",
    "api.z.ai": "openai-compatible",
    "snowflakecomputing.com": "openai-compatible",
    "router.huggingface.co": "openai-compatible",
    "bedrock-mantle": "openai-compatible",
}


@pytest.mark.parametrize("host", HOSTS)
def test_real_requests_arrive_unchanged(host: str) -> None:
    for exchange in recorded("/chat/completions"):
        if host not in exchange.uri or not exchange.request:
            continue
        body = json.loads(exchange.request)
        received = sent(parse(exchange.request), HOSTS[host])
        if HOSTS[host] == "mistral":
            body.pop("stream_options", None)
            for ours, theirs in (("max_completion_tokens", "max_tokens"), ("seed", "random_seed")):
                if ours in body:
                    body[theirs] = body.pop(ours)
        assert _same(body, received), exchange.uri


def _same(body: dict[str, Any], received: dict[str, Any]) -> bool:
    ours = {"model", "stream_options"}
    return {k: v for k, v in body.items() if k not in ours} == {k: v for k, v in received.items() if k not in ours}


def test_recorded_bodies_never_crash_on_other_paths() -> None:
    for exchange in recorded("//"):
        for path in ("/chat/completions", "/completions", "/embeddings", "/responses"):
            try:
                parse(exchange.request, path)
            except Rejection as rejection:
                status = rejection.failure.kind.status
            else:
                status = 400
            assert status == 400
