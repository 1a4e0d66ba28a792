"""A body of the Responses API at the path of chats is read as a response and answered as a chat."""

import json
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from fakes.anthropic import stream_of
from fakes.wire import parse, rejected, target
from pointsman.domain.calls import Call
from pointsman.providers import codec_of
from pointsman.providers.api import WholeAnswer
from unit.wire.api.test_chat_completions import sent

# Like the bodies that Cursor sends.
CURSOR: dict[str, Any] = {
    "model": "m",
    "input": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "input_text", "text": "Weather in Rome?"}]},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "secret"},
        {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": '{"city":"Rome"}'},
        {"type": "function_call_output", "call_id": "call_1", "output": "sunny"},
    ],
    "tools": [
        {"type": "function", "name": "weather", "parameters": {"type": "object"}, "strict": False},
        {"type": "custom", "name": "patch", "format": {"type": "grammar", "syntax": "lark", "definition": "start: x"}},
    ],
    "tool_choice": "auto",
    "reasoning": {"effort": "high", "summary": "auto"},
    "include": ["reasoning.encrypted_content"],
    "text": {"verbosity": "low"},
    "store": False,
    "stream": True,
    "stream_options": {"include_usage": True},
    "user": "u",
    "prompt_cache_key": "k",
}


def test_body_is_sent_as_a_chat() -> None:
    call = parse(CURSOR)
    assert (call.operation, call.stream, call.wants_usage, call.head.path) == ("chat", True, True, "/chat/completions")
    assert call.size == len(json.dumps(CURSOR))
    assert sent(call) == {
        "model": "upstream-model",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Weather in Rome?"},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {
                        "id": "call_1",
                        "type": "function",
                        "function": {"name": "weather", "arguments": '{"city":"Rome"}'},
                    }
                ],
            },
            {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
        ],
        "tools": [
            {
                "type": "function",
                "function": {"name": "weather", "parameters": {"type": "object"}, "strict": False},
            },
            {
                "type": "custom",
                "custom": {
                    "name": "patch",
                    "format": {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: x"}},
                },
            },
        ],
        "tool_choice": "auto",
        "reasoning_effort": "high",
        "verbosity": "low",
        "user": "u",
        "prompt_cache_key": "k",
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_text_and_fallbacks_are_enough() -> None:
    call = parse({"model": "claude-via-m", "input": "hi", "fallbacks": ["other"]})
    assert (call.model, call.fallbacks, call.stream) == ("m", ("other",), False)
    assert sent(call)["messages"] == [{"role": "user", "content": "hi"}]


def test_fields_of_chats_keep_their_meaning() -> None:
    own = {"stop": ["a"], "seed": 1, "n": 2, "response_format": {"type": "json_object"}, "reasoning_effort": "low"}
    call = parse({"model": "m", "input": "hi", **own})
    assert (call.choices, call.answers) == (2, 2)
    assert {name: sent(call)[name] for name in own} == own


@pytest.mark.parametrize(("provider", "field"), [("openai", "max_completion_tokens"), ("ollama", "max_tokens")])
def test_bound_is_sent_in_the_field_that_the_provider_reads(provider: str, field: str) -> None:
    call = parse({"model": "m", "input": "hi", "max_output_tokens": 50})
    assert (call.max_tokens, call.stated_tokens) == (50, None)
    assert sent(call, provider)[field] == 50
    assert sent(replace(call, max_tokens=20), provider)[field] == 20, "lowered by a limit"
    assert parse({"model": "m", "input": "hi", "max_tokens": 7}).max_tokens == 7


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"store": True}, "store"),
        ({"background": True}, "background"),
        ({"tools": [{"type": "web_search"}]}, "tools[0] of type web_search"),
        ({"truncation": "auto"}, "truncation"),
    ],
)
def test_field_that_no_chat_has_is_rejected(fields: dict[str, Any], param: str) -> None:
    failure = rejected(lambda: parse({"model": "m", "input": "hi", **fields}))
    assert (failure.kind.code, failure.kind.status, failure.param) == ("not_supported", 400, param)
    assert "/v1/responses" in failure.message


@pytest.mark.parametrize(
    ("fields", "param"),
    [({"input": 5}, "input"), ({"model": ""}, "model"), ({"text": 1}, "text"), ({"max_output_tokens": 0}, None)],
)
def test_invalid_body_names_the_field_of_a_response(fields: dict[str, Any], param: str | None) -> None:
    failure = rejected(lambda: parse({"model": "m", "input": "hi", **fields}))
    assert (failure.kind.status, failure.param) == (400, param or next(iter(fields)))


def test_body_with_messages_stays_a_chat() -> None:
    call = parse({"model": "m", "messages": [{"role": "user", "content": "hi"}], "input": "kept"})
    assert sent(call)["input"] == "kept"
    assert rejected(lambda: parse({"model": "m"})).param == "messages"


def test_field_that_is_left_out_is_named() -> None:
    call = parse({"model": "m", "input": "hi", "metadata": {"a": "b"}})
    assert call.dropped == ("metadata",)
    assert "metadata" not in sent(call)


def sent_translated(call: Call) -> dict[str, Any]:
    item = target("anthropic")
    body: dict[str, Any] = msgspec.json.decode(
        codec_of("anthropic", "chat", "openai").encode(call, item, item.keys[0]).body
    )
    return body


def test_provider_of_anthropics_dialect_gets_a_message() -> None:
    plain = {name: value for name, value in CURSOR.items() if name != "tools"}
    body = sent_translated(parse({**plain, "tools": CURSOR["tools"][:1]}))
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant", "user"]
    assert body["tools"][0]["name"] == "weather"
    assert body["stream"] is True


def test_answer_of_anthropics_dialect_is_a_chat() -> None:
    codec, message = codec_of("anthropic", "chat", "openai"), {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "x", "stop_reason": "end_turn",
        "stop_sequence": None, "content": [{"type": "text", "text": "sunny"}],
        "usage": {"input_tokens": 3, "output_tokens": 2},
    }  # fmt: skip
    whole = codec.decode(parse({"model": "m", "input": "hi"}), json.dumps(message).encode())
    assert isinstance(whole, WholeAnswer)
    assert json.loads(whole.body)["choices"][0]["message"]["content"] == "sunny"
    events = stream_of(
        {"type": "message_start", "message": {**message, "content": [], "stop_reason": None}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "sunny"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
        {"type": "message_stop"},
    )
    decoder = codec.decoder(parse(CURSOR | {"tools": CURSOR["tools"][:1]}), 1 << 20)
    written = decoder.feed(events) + decoder.close()
    chunks = [json.loads(line[6:]) for line in written.splitlines() if line.startswith(b"data: {")]
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert "".join(c["delta"].get("content") or "" for chunk in chunks for c in chunk["choices"]) == "sunny"
    assert chunks[-1]["usage"]["completion_tokens"] == 2
    assert written.endswith(b"data: [DONE]\n\n")
