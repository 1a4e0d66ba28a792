"""Gemini's dialect: whole and streamed answers, counts of tokens, embeddings and errors."""

import json
from typing import Any

import pytest

from fakes.simulated import context_for, rejected
from pointsman.simulate.answers import Answer, RequestContext
from pointsman.simulate.gemini import gemini, is_path, model_of

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = [{"functionDeclarations": [{"name": "weather", "parametersJsonSchema": SCHEMA}, {"name": "time"}]}]
HELLO = {"role": "user", "parts": [{"text": "Hello there"}]}
THINKING = {"thinkingConfig": {"includeThoughts": True, "thinkingBudget": 1_000}}
HIDDEN = {"thinkingConfig": {"thinkingLevel": "low"}}


def context(method: str = "generateContent", settings: dict[str, Any] | None = None, **fields: Any) -> RequestContext:
    body = {"contents": [HELLO], **fields} if "Content" in method and "mbed" not in method else fields
    made = context_for(body, **(settings or {}))
    made.request.target = f"/v1beta/models/gpt-4o:{method}"
    return made


def whole(answer: Answer) -> Any:
    return json.loads(answer.body)


def called(parts: list[Any]) -> list[Any]:
    return [part["functionCall"] for part in parts if "functionCall" in part]


CASES: list[dict[str, Any]] = [
    {},
    {"tools": TOOLS},
    {"tools": TOOLS, "generationConfig": THINKING},
    {"generationConfig": THINKING},
    {"generationConfig": HIDDEN},
    {"generationConfig": {"maxOutputTokens": 3}},
    {"generationConfig": {"maxOutputTokens": 2, **HIDDEN}},
    {"generationConfig": {"responseMimeType": "application/json", "responseJsonSchema": SCHEMA}},
]


@pytest.mark.parametrize("fields", CASES)
def test_stream_has_the_parts_and_counts_of_the_whole_answer(fields: dict[str, Any]) -> None:
    settings = {"cached_share": 0.5, "parallel_calls": 2, "reasoning_tokens": 4.0}
    answer = gemini(context(settings=settings, **fields))
    found = whole(answer)
    streamed = gemini(context("streamGenerateContent?alt=sse", settings, **fields))
    assert streamed.events is not None
    events = [json.loads(event.data.removeprefix(b"data: ")) for event in streamed.events]
    parts = [part for one in events for part in one["candidates"][0].get("content", {}).get("parts", ())]
    (candidate,) = found["candidates"]
    whole_parts = candidate["content"]["parts"]
    assert called(parts) == called(whole_parts)
    assert "".join(part.get("text", "") for part in parts) == "".join(part.get("text", "") for part in whole_parts)
    assert events[-1]["usageMetadata"] == found["usageMetadata"]
    assert [one["candidates"][0].get("finishReason") for one in events[:-1]] == [None] * (len(events) - 1)
    assert events[-1]["candidates"][0]["finishReason"] == candidate["finishReason"]
    usage = found["usageMetadata"]
    assert usage["totalTokenCount"] == answer.tokens_in + answer.tokens_out
    assert usage.get("candidatesTokenCount", 0) + usage.get("thoughtsTokenCount", 0) == answer.tokens_out
    assert sum(event.tokens for event in streamed.events) == answer.tokens_out == streamed.tokens_out
    assert [event.is_end for event in streamed.events[-2:]] == [False, True]
    assert answer.tokens_cached == usage["promptTokenCount"] // 2


def test_loop_with_calls_needs_all_results_and_own_signatures() -> None:
    settings = {"parallel_calls": 2, "reasoning_tokens": 4.0}
    fields: dict[str, Any] = {"tools": TOOLS, "generationConfig": THINKING}
    model = whole(gemini(context(settings=settings, **fields)))["candidates"][0]["content"]
    made = called(model["parts"])
    assert [one["name"] for one in made] == ["weather", "time"]
    results = [{"functionResponse": {"id": one["id"], "name": one["name"], "response": {"a": 1}}} for one in made]

    def ask(turn: Any, parts: list[Any]) -> Any:
        contents = [HELLO, turn, {"role": "user", "parts": parts}]
        return gemini(context(settings=settings, contents=contents, **fields))

    assert "text" in whole(ask(model, results))["candidates"][0]["content"]["parts"][-1]
    assert "number of function response parts" in rejected(lambda: ask(model, results[:1]))["message"]
    assert "immediately after" in rejected(lambda: ask({"role": "model", "parts": [{"text": "a"}]}, results))["message"]
    signed = [{**part, "thoughtSignature": "YQ=="} if "thoughtSignature" in part else part for part in model["parts"]]
    assert rejected(lambda: ask({**model, "parts": signed}, results))["message"] == "Corrupted thought signature."


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"unknown": 1}, 'Unknown name "unknown"'),
        ({"generationConfig": {"top_p": 1}}, 'Unknown name "top_p"'),
        ({"contents": []}, "contents is not specified"),
        ({"contents": [{"role": "user", "parts": []}]}, "must not be empty"),
        ({"contents": [{"role": "assistant", "parts": [{"text": "a"}]}]}, "Invalid value"),
        ({"generationConfig": {"candidateCount": 2}}, "Multiple candidates"),
        ({"generationConfig": {"thinkingConfig": {"thinkingBudget": 1, "thinkingLevel": "low"}}}, "only one of"),
        ({"tools": [*TOOLS, *TOOLS]}, "Duplicate function"),
    ],
)
def test_wrong_requests_are_rejected(fields: dict[str, Any], message: str) -> None:
    found = rejected(lambda: gemini(context(**fields)))
    assert (found["status"], found["code"]) == ("INVALID_ARGUMENT", 400)
    assert message in found["message"]


def test_choice_of_functions() -> None:
    def chosen(**config: Any) -> list[str]:
        fields: dict[str, Any] = {"tools": TOOLS, "toolConfig": {"functionCallingConfig": config}}
        parts = whole(gemini(context(settings={"parallel_calls": 1}, **fields)))["candidates"][0]["content"]["parts"]
        return [one["name"] for one in called(parts)]

    assert chosen(mode="NONE") == []
    assert chosen(mode="ANY", allowedFunctionNames=["time"]) == ["time"]
    assert chosen(mode="VALIDATED") == ["weather"]


def test_tokens_are_counted_as_they_are_billed() -> None:
    billed = whole(gemini(context()))["usageMetadata"]["promptTokenCount"]
    counted = gemini(context("countTokens", contents=[HELLO]))
    assert whole(counted) == {"totalTokens": billed}
    assert counted.tokens_in == 0
    inner: dict[str, Any] = {"generateContentRequest": {"model": "models/gpt-4o", "contents": [HELLO]}}
    assert whole(gemini(context("countTokens", **inner))) == {"totalTokens": billed}


def test_embeddings_of_one_content_and_of_several() -> None:
    one: dict[str, Any] = {"content": {"parts": [{"text": "Hello there"}]}, "outputDimensionality": 3}
    answer = gemini(context("embedContent", **one))
    assert len(whole(answer)["embedding"]["values"]) == 3
    assert answer.tokens_in == whole(answer)["usageMetadata"]["promptTokenCount"] == 3
    assert len(whole(gemini(context("batchEmbedContents", requests=[one, one])))["embeddings"]) == 2


def test_paths_name_the_model() -> None:
    assert model_of("/v1/models/gpt-4o:generateContent") == "gpt-4o"
    assert not is_path("/v1/models/gpt-4o")
    unknown = context()
    unknown.request.target = "/v1beta/models/none:generateContent"
    assert rejected(lambda: gemini(unknown))["status"] == "NOT_FOUND"
    odd = context()
    odd.request.target = "/v1beta/models/gpt-4o:predict"
    assert rejected(lambda: gemini(odd))["code"] == 404
    listed = context()
    listed.request.target = "/v1beta/models"
    assert whole(gemini(listed))["models"][0]["name"] == "models/gpt-4o-mini"
