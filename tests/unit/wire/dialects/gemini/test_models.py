"""Requests as the models take them: reasoning, signatures and media in results."""

import json
from typing import Any

import pytest
from msgspec import Raw

from pointsman.wire.dialects.gemini.models import (
    FOREIGN_SIGNATURE,
    MAX_BUDGET,
    MIN_PRO_BUDGET,
    bounded,
    fitted,
    signed,
)

OLD, PRO, FLASH, LITE = "gemini-2.0-flash", "gemini-2.5-pro", "gemini-2.5-flash", "gemini-2.5-flash-lite"
NEW_PRO, NEW_FLASH = "gemini-3.1-pro-preview", "gemini-3-flash-preview"


def fit(model: str, max_tokens: int | None = None, **fields: Any) -> dict[str, Any]:
    given = {name: Raw(json.dumps(value).encode()) for name, value in fields.items()}
    if max_tokens is not None:
        given = bounded(given, max_tokens)
    return {name: json.loads(bytes(raw)) for name, raw in signed(fitted(given, model, max_tokens), model).items()}


def thinking(model: str, max_tokens: int | None = None, **asked: Any) -> Any:
    found = fit(model, max_tokens, generationConfig={"thinkingConfig": asked})
    return found.get("generationConfig", {}).get("thinkingConfig")


def test_bound_is_a_part_of_the_configuration() -> None:
    assert fit(FLASH, 7, generationConfig={"maxOutputTokens": 9, "topK": 1}) == {
        "generationConfig": {"maxOutputTokens": 7, "topK": 1}
    }
    assert fit(FLASH, 7) == {"generationConfig": {"maxOutputTokens": 7}}
    assert fit(FLASH) == {}


@pytest.mark.parametrize(
    ("model", "asked", "expected"),
    [
        (NEW_FLASH, "minimal", "minimal"),
        (NEW_PRO, "minimal", "low"),
        (NEW_PRO, "medium", "medium"),
        ("models/" + NEW_PRO, "xhigh", "high"),
        ("gemini-10-flash", "max", "high"),
    ],
)
def test_effort_is_a_level_since_gemini_3(model: str, asked: str, expected: str) -> None:
    found = thinking(model, includeThoughts=True, thinkingLevel=asked)
    assert found == {"includeThoughts": True, "thinkingLevel": expected}


@pytest.mark.parametrize(
    ("model", "budget", "expected"),
    [(NEW_FLASH, 0, "minimal"), (NEW_PRO, 0, "low"), (NEW_PRO, 1_024, "low"), (NEW_PRO, 9_000, "high")],
)
def test_budget_is_a_level_since_gemini_3(model: str, budget: int, expected: str) -> None:
    assert thinking(model, thinkingBudget=budget) == {"thinkingLevel": expected}


@pytest.mark.parametrize(
    ("model", "max_tokens", "asked", "expected"),
    [
        (FLASH, None, {"thinkingLevel": "low"}, 1_024),
        (FLASH, None, {"thinkingBudget": 99_999}, MAX_BUDGET),
        (PRO, None, {"thinkingBudget": 99_999}, 32_768),
        (PRO, None, {"thinkingBudget": 0}, MIN_PRO_BUDGET),
        (FLASH, None, {"thinkingBudget": 0}, 0),
        (FLASH, 1_000, {"thinkingLevel": "high"}, 999),
        (LITE, 300, {"thinkingLevel": "high"}, 0),
        ("gemini-flash-latest", None, {"thinkingLevel": "medium"}, 8_192),
    ],
)
def test_effort_is_a_budget_before_gemini_3(model: str, max_tokens: int | None, asked: Any, expected: int) -> None:
    assert thinking(model, max_tokens, **asked) == {"thinkingBudget": expected}


def test_thoughts_are_shown_only_with_a_budget() -> None:
    assert thinking(FLASH, includeThoughts=True) == {"includeThoughts": True}
    assert thinking(FLASH, includeThoughts=True, thinkingBudget=600)["includeThoughts"] is True
    assert thinking(LITE, includeThoughts=True, thinkingBudget=5) == {"thinkingBudget": 0}


@pytest.mark.parametrize("model", [OLD, "gemini-1.5-pro", "gemini-pro", "gemma-3-27b-it", "gemini-2.5-flash-image"])
def test_models_without_reasoning_are_not_asked_for_it(model: str) -> None:
    assert thinking(model, includeThoughts=True, thinkingLevel="high") is None


CALLS = [
    {"role": "user", "parts": [{"text": "a"}]},
    {"role": "model", "parts": [{"text": "b"}, {"functionCall": {"name": "f"}}, {"functionCall": {"name": "g"}}]},
    {"role": "model", "parts": [{"functionCall": {"name": "f"}, "thoughtSignature": "c2ln"}]},
]


def test_first_call_of_another_author_is_signed_since_gemini_3() -> None:
    found = fit(NEW_PRO, contents=CALLS)["contents"]
    assert [[part.get("thoughtSignature") for part in content["parts"]] for content in found] == [
        [None],
        [None, FOREIGN_SIGNATURE, None],
        ["c2ln"],
    ]
    assert fit(FLASH, contents=CALLS)["contents"] == CALLS


def test_media_of_a_result_follow_it_before_gemini_3() -> None:
    image = {"inlineData": {"mimeType": "image/png", "data": "AA"}}
    result = {"id": "1", "name": "f", "response": {"output": "x"}}
    contents = [{"role": "user", "parts": [{"functionResponse": {**result, "parts": [image]}}, {"text": "b"}]}]
    assert fit(NEW_PRO, contents=contents)["contents"] == contents
    (content,) = fit(FLASH, contents=contents)["contents"]
    assert content["parts"] == [{"functionResponse": result}, {"text": "b"}, image]


def test_numbers_in_arguments_keep_their_bytes() -> None:
    raw = Raw(b'[{"role":"model","parts":[{"functionCall":{"args":{"n":1.0,"big":123456789012345678901234567890}}}]}]')
    assert b'{"n":1.0,"big":123456789012345678901234567890}' in bytes(signed({"contents": raw}, NEW_PRO)["contents"])


def test_own_calls_without_a_signature_get_one_since_gemini_3() -> None:
    own = b'{"parts":[{"functionCall":{"name":"f"}},{"functionCall":{"name":"g"}}],"role":"model","new":1}'
    theirs = b'{"parts":[{"functionCall":{"name":"f"},"thoughtSignature":"c2ln"}]}'
    fields = {"contents": Raw(b"[%b, %b]" % (own, theirs)), "other": Raw(b"1")}
    assert signed(fields, FLASH) is fields
    first, second = json.loads(bytes(signed(fields, NEW_PRO)["contents"]))
    assert first["new"] == 1
    assert [part.get("thoughtSignature") for part in first["parts"]] == [FOREIGN_SIGNATURE, None]
    assert second == json.loads(theirs)
    known = {"contents": Raw(b"[%b]" % theirs)}
    assert signed(known, NEW_PRO) is known
