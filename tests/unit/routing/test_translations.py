"""The policy for other dialects judges the request that the codec sends, as the catalog knows the model."""

import json
from typing import Any

import pytest
from msgspec.structs import replace

from fakes.routing import FakeView
from fakes.wire import parse, target
from pointsman.domain.calls import Call, Facts
from pointsman.domain.prices import ModelFacts, NoCatalog
from pointsman.domain.snapshots import NO_SNAPSHOT, Pricing
from pointsman.domain.targets import Candidate
from pointsman.domain.verdicts import Reason
from pointsman.providers import PROVIDERS, codec_for, dialects_of
from pointsman.routing.policies import translation

PLAIN, THINKING = "claude-3-5-haiku-20241022", "claude-sonnet-4-20250514"
GEMINI = "/generateContent"
TOOL = {"name": "f", "parameters": {"type": "object", "properties": {}}}
FORCED = {
    "contents": [{"role": "user", "parts": [{"text": "hello"}]}],
    "tools": [{"functionDeclarations": [TOOL]}],
    "toolConfig": {"functionCallingConfig": {"mode": "ANY"}},
    "generationConfig": {"maxOutputTokens": 4096, "thinkingConfig": {"thinkingBudget": 2048}},
}
WITH_EFFORT = {"model": "m", "messages": [{"role": "user", "content": "hello"}], "reasoning_effort": "high"}


class OnePlainModel(NoCatalog):
    """Knows one model that does not reason, and one that does."""

    def find(self, provider_type: str, model: str) -> ModelFacts | None:
        lacks = frozenset({"reasoning"}) if model == PLAIN else frozenset[str]()
        return ModelFacts(name=model, lacks=lacks) if model in (PLAIN, THINKING) else None


def claude(model: str) -> Candidate:
    found = target("anthropic", model)
    given = {"dialects": dialects_of(PROVIDERS["anthropic"]), "catalog": "anthropic", "needs_bound": True}
    return replace(found, endpoint=replace(found.endpoint, **given))


def asked(body: Any, path: str = "/chat/completions") -> Call:
    return replace(parse(body, path), snapshot=replace(NO_SNAPSHOT, pricing=Pricing(catalog=OnePlainModel())))


def verdict(call: Call, item: Candidate) -> Reason | None:
    return translation.check(item, Facts(call), FakeView(call.snapshot), 0.0)


def test_forced_call_with_a_budget_is_served_by_a_model_that_does_not_reason() -> None:
    call, item = asked(FORCED, GEMINI), claude(PLAIN)
    assert verdict(call, item) is None
    request = codec_for(item, "chat", "gemini").encode(call, item, item.keys[0])
    assert request.dropped == ("thinkingConfig",)
    sent = json.loads(request.body)
    assert sent["tool_choice"] == {"type": "any"}
    assert not {"thinking", "output_config"} & sent.keys()


def test_forced_call_with_a_budget_is_rejected_at_a_model_that_reasons() -> None:
    found = verdict(asked(FORCED, GEMINI), claude(THINKING))
    assert found is not None
    assert "tool_choice that forces a call, together with thinking" in found.message


def test_unknown_model_is_taken_for_one_that_reasons() -> None:
    found = verdict(asked(FORCED, GEMINI), claude("claude-of-tomorrow"))
    assert found is not None
    assert found.code == "not_expressible"


@pytest.mark.parametrize("model", [PLAIN, THINKING])
def test_only_the_policy_for_capabilities_judges_reasoning(model: str) -> None:
    assert verdict(asked(WITH_EFFORT), claude(model)) is None


def test_other_dropped_fields_still_make_a_last_resort() -> None:
    found = verdict(asked({**WITH_EFFORT, "seed": 5}), claude(PLAIN))
    assert found is not None
    assert (found.code, found.is_last_resort) == ("fields_dropped", True)
    assert found.message == "the API of anthropic has no seed"
