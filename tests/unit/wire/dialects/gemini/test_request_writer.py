"""Conversations of other dialects as requests to Gemini, and the reasons why some have none."""

import json
from typing import Any

import pytest
from msgspec import Raw

from fakes.gemini import body_of
from pointsman.domain.conversations import (
    AnswerFormat,
    Audio,
    CacheMark,
    Conversation,
    DocumentPart,
    Image,
    Part,
    Reasoning,
    Refusal,
    Sampling,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
    Written,
)
from pointsman.wire.dialects.gemini.request_writer import MAX_STOPS, write_request
from pointsman.wire.translation import DROPPABLE

HELLO = Turn("user", (Text("hello"),))
TOOL = Tool("f", "d", Raw(b'{"type":"object"}'))
CALLED = Turn("assistant", (ToolCall("1", "f", '{"a": 1}'),))


def written(*turns: Turn, **fields: Any) -> Written:
    return write_request(Conversation(origin="openai", turns=turns or (HELLO,), **fields), False)


def body(*turns: Turn, **fields: Any) -> dict[str, Any]:
    found = written(*turns, **fields)
    assert not found.cannot
    return body_of(found.fields)


def parts(*turns: Turn) -> Any:
    return body(*turns)["contents"][-1]["parts"]


def user(*given: Part) -> Turn:
    return Turn("user", given)


def answer(*given: Part) -> Turn:
    return Turn("assistant", given)


def test_plain_conversation() -> None:
    assert body(system=(Text("a"), Text("b", CacheMark("1h"))), max_tokens=5) == {
        "systemInstruction": {"parts": [{"text": "a"}, {"text": "b"}]},
        "contents": [{"role": "user", "parts": [{"text": "hello"}]}],
        "generationConfig": {"maxOutputTokens": 5},
    }


def test_turns_of_one_role_become_one_and_instructions_move_up() -> None:
    found = body(user(Text("a")), Turn("system", (Text("s"),)), user(Text("b"), Text("")), answer(Refusal("no")), HELLO)
    assert found["systemInstruction"] == {"parts": [{"text": "s"}]}
    assert found["contents"] == [
        {"role": "user", "parts": [{"text": "a"}, {"text": "b"}]},
        {"role": "model", "parts": [{"text": "no"}]},
        {"role": "user", "parts": [{"text": "hello"}]},
    ]


def test_media() -> None:
    assert parts(
        user(
            Image(data="AA", media_type="image/png"),
            Image(data="EE", media_type="image/jpg"),
            Image(url="https://x.test/a.jpg?w=1"),
            Image(url="https://x.test/a"),
            Audio("BB", "mp3"),
            DocumentPart(data="CC", media_type="application/pdf", name="a.pdf"),
            DocumentPart(url="https://x.test/b", media_type="application/pdf"),
            DocumentPart(text="hi"),
            DocumentPart(data="e30=", media_type="application/json"),
            DocumentPart(data="DD", media_type="text/markdown; charset=utf-8"),
        )
    ) == [
        {"inlineData": {"mimeType": "image/png", "data": "AA"}},
        {"inlineData": {"mimeType": "image/jpeg", "data": "EE"}},
        {"fileData": {"fileUri": "https://x.test/a.jpg?w=1", "mimeType": "image/jpeg"}},
        {"fileData": {"fileUri": "https://x.test/a"}},
        {"inlineData": {"mimeType": "audio/mp3", "data": "BB"}},
        {"inlineData": {"mimeType": "application/pdf", "data": "CC"}},
        {"fileData": {"fileUri": "https://x.test/b", "mimeType": "application/pdf"}},
        {"inlineData": {"mimeType": "text/plain", "data": "aGk="}},
        {"inlineData": {"mimeType": "text/plain", "data": "e30="}},
        {"inlineData": {"mimeType": "text/markdown", "data": "DD"}},
    ]


def test_calls_and_results() -> None:
    found = body(
        HELLO,
        answer(Text("both"), ToolCall("1", "f", '{"a": 1}'), ToolCall("2", "g", ""), ToolCall("3", "f", "[1]")),
        user(
            ToolResult("2", (Text("x"),)),
            ToolResult("1", (Text("y"), Text("z"), Image(data="AA", media_type="image/png"))),
            ToolResult("3", (), is_error=True),
        ),
    )
    assert found["contents"][1]["parts"] == [
        {"text": "both"},
        {"functionCall": {"id": "1", "name": "f", "args": {"a": 1}}},
        {"functionCall": {"id": "2", "name": "g", "args": {}}},
        {"functionCall": {"id": "3", "name": "f", "args": {"INVALID_JSON": "[1]"}}},
    ]
    image = {"inlineData": {"mimeType": "image/png", "data": "AA"}}
    assert [part["functionResponse"] for part in found["contents"][2]["parts"]] == [
        {"id": "2", "name": "g", "response": {"output": "x"}},
        {"id": "1", "name": "f", "response": {"output": ["y", "z"]}, "parts": [image]},
        {"id": "3", "name": "f", "response": {"error": ""}},
    ]


def own(signature: str, text: str = "", origin: str = "gemini") -> Reasoning:
    return Reasoning(text, signature, origin=origin)


def test_signatures_return_to_the_parts_they_came_with() -> None:
    """Clients of chats send all reasoning before the texts and calls."""
    given = answer(
        own("call:1:c2ln", "Hm"), own("text::dGV4dA"), own("thought::dGhv", "deep"), Text("a"), *CALLED.parts
    )
    assert parts(HELLO, given) == [
        {"text": "deep", "thought": True, "thoughtSignature": "dGhv"},
        {"text": "a", "thoughtSignature": "dGV4dA"},
        {"functionCall": {"id": "1", "name": "f", "args": {"a": 1}}, "thoughtSignature": "c2ln"},
    ]


def test_signature_without_its_part() -> None:
    assert parts(HELLO, answer(own("text::c2ln"), own("call:9:c2ln"), *CALLED.parts)) == [
        {"functionCall": {"id": "1", "name": "f", "args": {"a": 1}}},
        {"text": "", "thoughtSignature": "c2ln"},
    ]


def test_reasoning_of_others_and_summaries_are_left_out() -> None:
    given = answer(own("call:1:c2ln", "x", "anthropic"), own("", "Hm"), Reasoning(redacted="r", origin="gemini"))
    assert body(HELLO, given, HELLO)["contents"] == [{"role": "user", "parts": [{"text": "hello"}] * 2}]


def test_tools_and_the_rule_for_calls() -> None:
    found = body(tools=(TOOL, Tool("g")))
    assert found["tools"] == [
        {
            "functionDeclarations": [
                {"name": "f", "description": "d", "parametersJsonSchema": {"type": "object"}},
                {"name": "g"},
            ]
        }
    ]
    assert "toolConfig" not in found


@pytest.mark.parametrize(
    ("choice", "strict", "expected"),
    [
        (ToolChoice("auto"), None, {"mode": "AUTO"}),
        (ToolChoice("auto"), True, {"mode": "VALIDATED"}),
        (ToolChoice(), True, {"mode": "VALIDATED"}),
        (ToolChoice("auto", parallel=False), None, {"mode": "AUTO"}),
        (ToolChoice("none", parallel=False), True, {"mode": "NONE"}),
        (ToolChoice("required", parallel=True), None, {"mode": "ANY"}),
        (ToolChoice("named", "f"), True, {"mode": "ANY", "allowedFunctionNames": ["f"]}),
    ],
)
def test_modes_of_calls(choice: ToolChoice, strict: bool | None, expected: Any) -> None:
    tool = Tool("f", "d", TOOL.schema, strict)
    assert body(tools=(tool,), tool_choice=choice)["toolConfig"] == {"functionCallingConfig": expected}


def test_sampling() -> None:
    sampling = Sampling(
        temperature=0.5,
        top_p=0.9,
        top_k=5,
        stop=("a", "b"),
        presence_penalty=0.1,
        frequency_penalty=0.2,
        seed=7,
        logprobs=True,
        top_logprobs=3,
    )
    assert body(sampling=sampling)["generationConfig"] == {
        "temperature": 0.5,
        "topP": 0.9,
        "topK": 5,
        "stopSequences": ["a", "b"],
        "presencePenalty": 0.1,
        "frequencyPenalty": 0.2,
        "seed": 7,
        "responseLogprobs": True,
        "logprobs": 3,
    }


@pytest.mark.parametrize(
    ("thinking", "expected"),
    [
        (Thinking(), None),
        (Thinking(is_on=False), {"thinkingBudget": 0}),
        (Thinking(effort="none"), {"thinkingBudget": 0}),
        (Thinking(is_on=True), {"includeThoughts": True}),
        (Thinking(summary="auto"), {"includeThoughts": True}),
        (Thinking(effort="high"), {"includeThoughts": True, "thinkingLevel": "high"}),
        (Thinking(is_on=True, budget_tokens=2_000), {"includeThoughts": True, "thinkingBudget": 2_000}),
        (Thinking(effort="low", summary="omitted"), {"includeThoughts": False, "thinkingLevel": "low"}),
    ],
)
def test_reasoning_is_requested(thinking: Thinking, expected: Any) -> None:
    assert body(thinking=thinking).get("generationConfig", {}).get("thinkingConfig") == expected


def test_format_of_the_answer() -> None:
    assert body(format=AnswerFormat())["generationConfig"] == {"responseMimeType": "application/json"}
    form = AnswerFormat(Raw(b'{"type":"object"}'), "n", "about", strict=True)
    assert body(format=form)["generationConfig"] == {
        "responseMimeType": "application/json",
        "responseJsonSchema": {"type": "object", "description": "about"},
    }


@pytest.mark.parametrize(
    ("reason", "turns", "fields"),
    [
        ("without a message", (Turn("system", (Text("s"),)),), {}),
        ("the name", (Turn("user", (Text("a"),), "bob"),), {}),
        ("an image of type unknown", (user(Image(data="AA")),), {}),
        ("an image of type image/gif", (user(Image(data="AA", media_type="image/gif")),), {}),
        ("a document of type application/zip", (user(DocumentPart(data="AA", media_type="application/zip")),), {}),
        ("begin with https", (user(Image(url="http://x.test/a.png")),), {}),
        ("begin with https", (user(DocumentPart(url="data:text/plain,a")),), {}),
        ("a recording in the format", (user(Audio("AA", "pcm16")),), {}),
        ("no call of the conversation", (user(ToolResult("9")),), {}),
        ("a call of the custom tool", (HELLO, answer(ToolCall("1", "f", "x", is_custom=True))), {}),
        ("of type custom", (), {"tools": (Tool("f", is_custom=True),)}),
        ("n above 1", (), {"sampling": Sampling(choices=2)}),
        ("texts in stop", (), {"sampling": Sampling(stop=("a",) * (MAX_STOPS + 1))}),
        ("empty text", (), {"sampling": Sampling(stop=("",))}),
        ("web_search_options", (), {"rest": {"web_search_options": Raw(b"{}")}}),
    ],
)
def test_parts_that_cannot_be_expressed(reason: str, turns: tuple[Turn, ...], fields: Any) -> None:
    (found,) = written(*turns, **fields).cannot
    assert reason in found


def test_fields_that_are_dropped() -> None:
    fields: dict[str, Any] = {
        "user": "u",
        "metadata": Raw(b"{}"),
        "service_tier": "flex",
        "prompt_cache_key": "k",
        "verbosity": "low",
        "sampling": Sampling(seed=2**40),
        "tools": (Tool("f", is_deferred=True),),
    }
    found = written(user(Image(url="https://x.test/a.png", detail="high")), **fields)
    assert not found.cannot
    assert set(found.dropped) <= DROPPABLE
    assert set(found.dropped) == {
        "user",
        "metadata",
        "service_tier",
        "prompt_cache_key",
        "verbosity",
        "seed",
        "defer_loading",
        "detail",
    }
    assert not written(service_tier="auto", verbosity="medium").dropped


def test_request_has_no_model_and_no_field_for_a_stream() -> None:
    given = Conversation(origin="openai", turns=(HELLO,))
    assert write_request(given, True).fields == write_request(given, False).fields
    assert json.loads(bytes(write_request(given, True).fields["contents"])) == [
        {"role": "user", "parts": [{"text": "hello"}]}
    ]
