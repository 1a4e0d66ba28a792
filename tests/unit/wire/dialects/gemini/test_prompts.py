"""The prompt of a request: media, tokens, needs, and what adds to its cost."""

from typing import Any

import pytest

from fakes.wire import parse, rejected
from pointsman.domain.calls import Call
from pointsman.wire.dialects.gemini import prompts
from pointsman.wire.tokens import MEDIA_TOKENS

EVERY = ("tools", "reasoning", "json_schema", "vision", "audio_in")


def call(*parts: Any, path: str = "/generateContent", **fields: Any) -> Call:
    return parse({"contents": [{"parts": list(parts) or [{"text": "hello"}]}], **fields}, path)


def blob(kind: str, data: str = "QUJD") -> Any:
    return {"inlineData": {"mimeType": kind, "data": data}}


def test_images_in_the_request_count_once_and_not_as_text() -> None:
    found = call({"text": "a"}, blob("image/png", "Q" * 4_000)).media
    assert (found.count, found.tokens, found.size, found.elsewhere) == (1, MEDIA_TOKENS, 4_002, "")
    inner = {"functionResponse": {"name": "f", "response": {}, "parts": [blob("image/png")]}}
    assert call(inner).media.count == 1
    assert call(systemInstruction={"parts": [blob("image/png")]}).media.count == 1


def test_text_documents_count_by_their_bytes() -> None:
    found = call({"text": "a"}, blob("text/plain", "Q" * 400)).media
    assert (found.count, found.tokens, found.size, found.elsewhere) == (1, 402, 402, "")
    assert call(blob("application/pdf")).media.tokens == MEDIA_TOKENS


@pytest.mark.parametrize(
    ("part", "elsewhere"),
    [
        ({"fileData": {"fileUri": "https://x.test/a", "mimeType": "image/png"}}, ""),
        ({"fileData": {"fileUri": "https://x.test/a", "mimeType": "video/mp4"}}, "fileUri"),
        ({"file_data": {"file_uri": "https://x.test/a"}}, "fileUri"),
        ({"somethingNew": {}}, "contents"),
        ({"text": "a"}, ""),
    ],
)
def test_content_of_unknown_length_is_named(part: Any, elsewhere: str) -> None:
    found = call(part)
    assert found.media.elsewhere == elsewhere
    unbounded = prompts.unbounded(found)
    assert (unbounded.field if unbounded is not None else "") == elsewhere


def test_tools_of_google_are_uses_and_functions_are_none() -> None:
    declared = {"functionDeclarations": [{"name": "f"}]}
    assert prompts.unbounded(call(tools=[declared])) is None
    found = prompts.unbounded(call(tools=[declared, {"google_search": {}}]))
    assert found is not None
    assert [use.tool for use in found.uses] == ["googleSearch"]
    cached = prompts.unbounded(call(cachedContent="cachedContents/a"))
    assert cached is not None
    assert cached.field == "cachedContent"


def test_needs() -> None:
    assert prompts.needs(call(), EVERY) == set()
    config = {"thinkingConfig": {"thinkingBudget": 5}, "responseSchema": {"type": "STRING"}}
    tools = [{"functionDeclarations": [{"name": "f"}]}]
    found = call(blob("image/png"), blob("audio/mp3"), generationConfig=config, tools=tools)
    assert prompts.needs(found, EVERY) == set(EVERY)
    assert prompts.needs(found, ("tools",)) == {"tools"}


@pytest.mark.parametrize(
    ("config", "needs"),
    [
        ({"thinkingBudget": 0}, False),
        ({"thinkingBudget": "0"}, False),
        ({"thinkingBudget": 0, "includeThoughts": True}, False),
        ({"thinking_budget": 0}, False),
        ({"thinkingLevel": "THINKING_LEVEL_UNSPECIFIED"}, False),
        ({"includeThoughts": False}, False),
        ({}, False),
        ({"thinkingBudget": -1}, True),
        ({"thinkingBudget": 1}, True),
        ({"thinkingLevel": "LOW"}, True),
        ({"includeThoughts": True}, True),
        ({"thinkingLevel": "unknown"}, True),
    ],
)
def test_reasoning_is_needed_if_it_is_requested(config: Any, needs: bool) -> None:
    found = prompts.needs(call(generationConfig={"thinkingConfig": config}), EVERY)
    assert ("reasoning" in found) is needs


def test_tokens_are_those_of_texts_tools_and_schemas() -> None:
    short, long = prompts.about_tokens(call({"text": "a"})), prompts.about_tokens(call({"text": "a" * 401}))
    assert long - short == 100
    with_image = prompts.about_tokens(call({"text": "a"}, blob("image/png", "Q" * 40_000)))
    assert with_image - short == 1_000
    schema = {"responseJsonSchema": {"type": "object", "description": "x" * 400}}
    assert prompts.about_tokens(call({"text": "a"}, generationConfig=schema)) > short + 100


def test_counting_has_its_own_answer_and_no_bound() -> None:
    given = {"text": "a" * 400}
    counting = call(given, path="/countTokens")
    assert prompts.own_answer(counting) == b'{"totalTokens":%d}' % prompts.about_tokens(call(given))
    assert prompts.is_free(counting)
    assert not prompts.takes_bound(counting)
    assert prompts.own_answer(call(given)) is None
    inner = {"generate_content_request": {"contents": [{"parts": [given]}]}}
    assert prompts.own_answer(parse(inner, "/countTokens")) == prompts.own_answer(counting)


@pytest.mark.parametrize(("query", "expected"), [("?alt=sse", False), ("", True), ("?x=1&alt=sse", False)])
def test_stream_is_a_list_unless_events_are_requested(query: str, expected: bool) -> None:
    found = parse({"contents": [{"parts": [{"text": "a"}]}]}, f"/generateContent{query}", streams=True)
    assert prompts.lists_events(found) is expected
    assert not prompts.lists_events(call())


def test_service_tier() -> None:
    assert prompts.service_tier(call(serviceTier="FLEX")) == "flex"
    assert prompts.service_tier(call()) is None


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({}, "contents"),
        ({"contents": "hello"}, "contents"),
        ({"contents": [], "Tools": []}, "Tools"),
        ({"contents": [], "model": "another"}, "model"),
        ({"contents": [], "generationConfig": {"maxOutputTokens": 0}}, "generationConfig.maxOutputTokens"),
        ({"contents": [], "generationConfig": {"candidateCount": 9}}, "generationConfig.candidateCount"),
        ({"contents": [], "generationConfig": []}, "generationConfig"),
    ],
)
def test_wrong_bodies_are_rejected_by_name(fields: Any, param: str) -> None:
    assert rejected(lambda: parse(fields, "/generateContent")).param == param


def test_bound_and_candidates_are_read() -> None:
    config = {"max_output_tokens": "50", "candidateCount": 2}
    found = call(generation_config=config, model="models/m", fallbacks=["b"])
    assert (found.max_tokens, found.stated_tokens, found.choices, found.answers) == (50, 50, 2, 2)
    assert (found.model, found.fallbacks) == ("m", ("b",))
    assert set(found.fields) == {"contents", "generationConfig"}
