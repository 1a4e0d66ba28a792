"""Efforts of reasoning for models of OpenAI's dialect, in translated requests."""

import json
from typing import Any

import pytest
from msgspec.structs import replace

from fakes.anthropic import message_call
from fakes.configuration import compiled
from fakes.wire import CHAT, parse, target
from pointsman.domain.calls import Call
from pointsman.domain.messages import UpstreamRequest
from pointsman.domain.targets import candidate
from pointsman.providers import codec_of

TEXT = """
providers: {openai: env.OPENAI_API_KEY, groq: env.GROQ_API_KEY}
governance: {virtual_keys: {all: env.CLIENT_KEY}}
"""
SNAPSHOT = compiled(TEXT).snapshot


def asking(thinking: dict[str, Any]) -> Call:
    """Return a call of a client of Gemini's API."""
    body = {"contents": [{"parts": [{"text": "hello"}]}], "generationConfig": {"thinkingConfig": thinking}}
    return parse(body, "/generateContent")


def sent(call: Call, model: str, provider: str = "openai") -> UpstreamRequest:
    item = candidate(SNAPSHOT.endpoints[provider], model)
    codec = codec_of(provider, "chat", call.head.dialect)
    return codec.encode(replace(call, snapshot=SNAPSHOT), item, item.keys[0])


def effort(request: UpstreamRequest) -> Any:
    return json.loads(request.body).get("reasoning_effort")


@pytest.mark.parametrize(
    ("provider", "model", "level", "expected"),
    [
        ("groq", "openai/gpt-oss-120b", "NONE", "low"),
        ("groq", "openai/gpt-oss-120b", "MAX", "high"),
        ("openai", "o3-mini", "MINIMAL", "low"),
        ("openai", "gpt-5", "NONE", "minimal"),
        ("openai", "gpt-5-mini-2025-08-07", "MINIMAL", "minimal"),
        ("openai", "gpt-5-pro", "LOW", "high"),
        ("openai", "gpt-5.1-codex", "NONE", "low"),
        ("openai", "gpt-5.1", "NONE", "none"),
        ("openai", "gpt-5.1", "MINIMAL", "low"),
        ("openai", "some-model", "MAX", "max"),
    ],
)
def test_model_gets_an_effort_that_it_takes(provider: str, model: str, level: str, expected: str) -> None:
    assert effort(sent(asking({"thinkingLevel": level}), model, provider)) == expected


def test_reasoning_for_a_model_without_it_is_dropped_and_named() -> None:
    high = sent(asking({"thinkingLevel": "HIGH"}), "gpt-4o")
    assert (effort(high), high.dropped) == (None, ("thinkingConfig",))
    thinking = {"type": "enabled", "budget_tokens": 2000}
    messages = [{"role": "user", "content": "hello"}]
    call = message_call({"model": "m", "max_tokens": 4000, "messages": messages, "thinking": thinking})
    found = sent(call, "gpt-4o")
    assert (effort(found), found.dropped) == (None, ("thinking",))


def test_no_reasoning_at_a_model_without_it_needs_no_field() -> None:
    off = sent(asking({"thinkingBudget": 0}), "gpt-4o")
    assert (effort(off), off.dropped) == (None, ())


def test_request_in_the_dialect_of_its_provider_stays() -> None:
    assert effort(sent(parse({**CHAT, "reasoning_effort": "none"}), "gpt-4o")) == "none"
    item = target("groq", "openai/gpt-oss-120b")
    call = parse({**CHAT, "reasoning_effort": "none"})
    assert effort(codec_of("groq", "chat", "openai").encode(call, item, item.keys[0])) == "none"
