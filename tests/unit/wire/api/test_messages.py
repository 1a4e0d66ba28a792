"""Calls of the Messages API: fields that the gateway acts on are typed, and all others pass through unchanged."""

import json
from typing import Any

import pytest

from fakes.anthropic import HELLO, message_call
from fakes.wire import rejected
from pointsman.domain.state import Named


def test_facts_reach_the_call() -> None:
    call = message_call({**HELLO, "stream": True, "new_field": {"kept": [1]}})
    assert (call.operation, call.model, call.stream, call.wants_usage) == ("chat", "m", True, True)
    assert (call.max_tokens, call.stated_tokens, call.choices, call.answers) == (100, 100, 1, 1)
    assert bytes(call.fields["new_field"]) == b'{"kept": [1]}'


def test_names_of_fallbacks_are_the_gateways() -> None:
    call = message_call({**HELLO, "fallbacks": ["a", "b"]})
    assert call.fallbacks == ("a", "b")
    assert "fallbacks" not in call.fields
    assert "fallbacks" not in message_call({**HELLO, "fallbacks": []}).fields


@pytest.mark.parametrize("value", ["default", [{"model": "x"}], None])
def test_fallbacks_of_anthropic_pass(value: object) -> None:
    call = message_call({**HELLO, "fallbacks": value})
    assert call.fallbacks == ()
    assert json.loads(bytes(call.fields["fallbacks"])) == value


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": ""}, "model"),
        ({"model": "a\n"}, "model"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_tokens": "1"}, "max_tokens"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": 1, "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 1}]}, "messages[0].content"),
        ({"stream": 1}, "stream"),
        ({"system": 1}, "system"),
        ({"tools": {}}, "tools"),
        ({"thinking": "on"}, "thinking"),
        ({"output_config": []}, "output_config"),
        ({"stop_sequences": "x"}, "stop_sequences"),
        ({"fallbacks": ["a", {"model": "b"}]}, "fallbacks"),
        ({"fallbacks": ["a"] * 17}, "fallbacks"),
        ({"fallbacks": ["a\n"]}, "fallbacks"),
        ({"Max_Tokens": 5}, "Max_Tokens"),
    ],
)
def test_wrong_field_is_rejected(fields: dict[str, Any], param: str) -> None:
    failure = rejected(lambda: message_call({**HELLO, **fields}))
    assert (failure.kind.status, failure.param) == (400, param)


@pytest.mark.parametrize("name", ["model", "max_tokens", "messages"])
def test_missing_field_is_named(name: str) -> None:
    body = {key: value for key, value in HELLO.items() if key != name}
    failure = rejected(lambda: message_call(body))
    assert (failure.param, failure.message) == (name, f"the field {name!r} is required")


def test_whole_numbers_may_be_fractions() -> None:
    call = message_call(b'{"model":"m","max_tokens":100.0,"messages":[{"role":"user","content":"x"}]}')
    assert (call.max_tokens, bytes(call.fields["max_tokens"])) == (100, b"100")


def test_no_tokens_warm_a_cache() -> None:
    # https://platform.claude.com/docs/en/build-with-claude/prompt-caching#pre-warming-the-cache
    call = message_call({**HELLO, "max_tokens": 0})
    assert (call.max_tokens, call.stated_tokens, bytes(call.fields["max_tokens"])) == (0, 0, b"0")


def test_files_are_state() -> None:
    block = {"type": "document", "source": {"type": "file", "file_id": "file_1"}}
    call = message_call({**HELLO, "messages": [{"role": "user", "content": [block]}]})
    assert call.state is not None
    assert call.state.names == (Named("file", "file_1", "messages"),)
    assert message_call().state is None


def test_counting_needs_no_bound() -> None:
    call = message_call({"model": "m", "messages": HELLO["messages"], "tools": []}, counts=True)
    assert (call.operation, call.max_tokens, call.stream) == ("chat", None, False)
    assert call.head.path == "/messages/count_tokens"
