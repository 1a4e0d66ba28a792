"""Ids of calls of tools as Mistral takes them."""

import json
import re
from typing import Any

import pytest
from msgspec import Raw

from fakes.anthropic import message_call
from fakes.wire import CHAT, parse, target
from pointsman.providers import codec_of
from pointsman.providers._mistral_ids import with_fitting_ids

FITTING = re.compile(r"[a-zA-Z0-9]{9}")


def turns(*ids: str) -> list[dict[str, Any]]:
    calls = [{"id": one, "type": "function", "function": {"name": "f", "arguments": "{}"}} for one in ids]
    results = [{"role": "tool", "tool_call_id": one, "content": "1"} for one in ids]
    return [{"role": "user", "content": "hello"}, {"role": "assistant", "tool_calls": calls}, *results]


def sent(provider: str, model: str, *ids: str) -> tuple[list[str], list[str]]:
    """Return the ids of the calls and those of their results."""
    candidate = target(provider, model)
    call = parse({**CHAT, "messages": turns(*ids)})
    request = codec_of(provider, "chat", "openai").encode(call, candidate, candidate.keys[0])
    messages = json.loads(request.body)["messages"]
    return [one["id"] for one in messages[1]["tool_calls"]], [one["tool_call_id"] for one in messages[2:]]


@pytest.mark.parametrize(
    ("provider", "model"), [("mistral", "mistral-large-latest"), ("openrouter", "mistralai/mistral-small")]
)
def test_foreign_ids_are_replaced_and_stay_the_same_in_results(provider: str, model: str) -> None:
    given = ("call_0", "toolu_01ABC", "call_PTLP8xhu3uwZk4l3nlnrrJha", "")
    calls, results = sent(provider, model, *given)
    assert calls == results
    assert all(FITTING.fullmatch(one) for one in calls)
    assert len(set(calls)) == len(given)
    assert sent(provider, model, *given) == (calls, results)


def test_fitting_ids_and_those_for_other_models_stay() -> None:
    assert sent("mistral", "m", "D681PevKs") == (["D681PevKs"], ["D681PevKs"])
    assert sent("openrouter", "openai/gpt-5", "call_0") == (["call_0"], ["call_0"])


def test_ids_of_translated_calls_fit() -> None:
    candidate = target("mistral", "mistral-large-latest")
    messages = [
        {"role": "user", "content": "hello"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_01ABC", "name": "f", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_01ABC", "content": "1"}]},
    ]
    call = message_call({"model": "m", "max_tokens": 50, "messages": messages})
    request = codec_of("mistral", "chat", "anthropic").encode(call, candidate, candidate.keys[0])
    messages = json.loads(request.body)["messages"]
    assert messages[1]["tool_calls"][0]["id"] == messages[2]["tool_call_id"]
    assert FITTING.fullmatch(messages[2]["tool_call_id"])


@pytest.mark.parametrize(
    "messages", [b'[{"tool_calls":[1]}]', b'{"tool_calls":[]}', b'[{"role":"tool","tool_call_id":7}]']
)
def test_wrong_shapes_are_left_to_the_provider(messages: bytes) -> None:
    assert json.loads(bytes(with_fitting_ids({"messages": Raw(messages)})["messages"])) == json.loads(messages)
