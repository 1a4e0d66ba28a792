"""The facts about models on which a request for Converse depends."""

import json
import re
from typing import Any

import pytest
from msgspec import Raw

from pointsman.domain.conversations import CacheMark, Conversation, Sampling, Text, Thinking, Tool, Turn
from pointsman.domain.failures import Rejection
from pointsman.wire.upstreams.bedrock.models import REGIONS, fitted, without_geography
from pointsman.wire.upstreams.bedrock.request_writer import write_request

HELLO = Turn("user", (Text("hello"),))


def sent(model: str, bound: int | None = None, **fields: Any) -> dict[str, Any]:
    given = {"turns": (HELLO,), **fields}
    found = write_request(Conversation(origin="openai", **given), False)
    return {name: json.loads(bytes(raw)) for name, raw in fitted(found.fields, model, bound).items()}


@pytest.mark.parametrize(
    ("model", "thinking", "expected"),
    [
        ("us.amazon.nova-2-lite-v1:0", Thinking(effort="low"), {"type": "enabled", "maxReasoningEffort": "low"}),
        ("amazon.nova-2-lite-v1:0", Thinking(budget_tokens=9_000), {"type": "enabled", "maxReasoningEffort": "high"}),
        ("amazon.nova-2-lite-v1:0", Thinking(is_on=False), {"type": "disabled"}),
    ],
)
def test_nova_reasons_with_an_effort(model: str, thinking: Thinking, expected: object) -> None:
    assert sent(model, thinking=thinking)["additionalModelRequestFields"] == {"reasoningConfig": expected}


def test_highest_effort_of_nova_excludes_a_bound() -> None:
    body = sent("amazon.nova-2-lite-v1:0", 100, thinking=Thinking(effort="max"))
    assert body["additionalModelRequestFields"]["reasoningConfig"]["maxReasoningEffort"] == "medium"


@pytest.mark.parametrize(
    ("model", "effort", "expected"),
    [
        ("openai.gpt-oss-120b-1:0", "xhigh", {"reasoning_effort": "high"}),
        ("openai.gpt-oss-120b-1:0", "none", {"reasoning_effort": "low"}),
        ("qwen.qwen3-32b-v1:0", "minimal", {"reasoning_config": "low"}),
        ("qwen.qwen3-32b-v1:0", "medium", {"reasoning_config": "high"}),
        ("qwen.qwen3-32b-v1:0", "none", None),
        ("us.meta.llama4-scout-17b-instruct-v1:0", "high", None),
        ("amazon.nova-pro-v1:0", "high", None),
    ],
)
def test_effort_has_the_models_name(model: str, effort: Any, expected: object) -> None:
    assert sent(model, thinking=Thinking(effort=effort)).get("additionalModelRequestFields") == expected


def test_bound_of_the_call_replaces_that_of_the_request() -> None:
    assert sent("m", 50, max_tokens=900)["inferenceConfig"] == {"maxTokens": 50}
    assert "inferenceConfig" not in sent("m")


@pytest.mark.parametrize(
    ("model", "expected"), [("amazon.nova-pro-v1:0", {"inferenceConfig": {"topK": 3}}), ("mistral.x", {"top_k": 3})]
)
def test_top_k_has_the_models_name(model: str, expected: object) -> None:
    assert sent(model, sampling=Sampling(top_k=3))["additionalModelRequestFields"] == expected


@pytest.mark.parametrize(
    ("model", "mark"),
    [
        ("eu.amazon.nova-pro-v1:0", {"type": "default"}),
        ("meta.llama3", None),
        ("arn:aws:bedrock:us-east-1:1:provisioned-model/x", None),
    ],
)
def test_marks_for_a_cache_go_to_models_that_take_them(model: str, mark: object) -> None:
    text = Text("a", CacheMark("1h"))
    body = sent(model, turns=(Turn("user", (text,)),), system=(text,), tools=(Tool("f", cache=CacheMark("1h")),))
    expected = [{"text": "a"}] + ([{"cachePoint": mark}] if mark else [])
    assert body["system"] == body["messages"][0]["content"] == expected
    assert "cachePoint" not in body["toolConfig"]["tools"][-1]


@pytest.mark.parametrize("depth", [100, 900, 985, 990, 995, 1_000, 5_000])
def test_arguments_of_any_depth_are_sent_or_rejected(depth: int) -> None:
    nested = b'{"a":' * depth + b"1" + b"}" * depth
    messages = b'[{"role":"user","content":[{"toolUse":{"input":%b}},{"cachePoint":{}}]}]' % nested
    try:
        found = fitted({"messages": Raw(messages)}, "meta.llama3", None)
    except Rejection:
        return
    assert b"cachePoint" not in bytes(found["messages"])


@pytest.mark.parametrize(
    ("model", "geography", "bare"),
    [
        ("eu.anthropic.claude-x", "eu", "anthropic.claude-x"),
        ("us-gov.anthropic.claude-x", "us-gov", "anthropic.claude-x"),
        ("global.amazon.nova-2-lite-v1:0", "global", "amazon.nova-2-lite-v1:0"),
        ("anthropic.claude-x", "", "anthropic.claude-x"),
        ("user.model", "", "user.model"),
        ("arn:aws:bedrock:eu-west-1:1:inference-profile/eu.anthropic.claude-x", "eu", None),
        ("arn:aws:bedrock:eu-west-1:1:inference-profile/xx.anthropic.claude-x", "unknown", None),
        ("arn:aws:bedrock:eu-west-1:1:application-inference-profile/abc", "unknown", None),
        ("ARN:aws:bedrock:eu-west-1:1:application-inference-profile/eu.abc", "unknown", None),
        ("arn:aws:bedrock:eu-west-1:1:default-prompt-router/anthropic.claude:1", "unknown", None),
        ("arn:aws:bedrock:eu-west-1:1:prompt/P1", "unknown", None),
        ("arn:x", "unknown", None),
        ("arn:aws:bedrock:us-west-2::foundation-model/anthropic.claude-x", "us-west-2", None),
        ("arn:aws:bedrock:us-west-2::foundation-model/eu.claude-x", "us-west-2", None),
        ("arn:aws:bedrock:eu-west-1:1:provisioned-model/x", "eu-west-1", None),
        ("arn:aws-us-gov:bedrock:us-gov-west-1:1:imported-model/x", "us-gov-west-1", None),
        ("arn:aws:sagemaker:eu-west-1:1:endpoint/x", "eu-west-1", None),
        ("abcdefghij12", "unknown", None),
        ("in.anthropic.claude-x", "in", "anthropic.claude-x"),
    ],
)
def test_geography_of_a_profile(model: str, geography: str, bare: str | None) -> None:
    found = ((re.match(pattern, model), region) for pattern, region in REGIONS)
    assert next((match.expand(region) for match, region in found if match), "") == geography
    assert without_geography(model) == (bare or model)
