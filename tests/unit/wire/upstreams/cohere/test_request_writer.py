"""Conversations as Cohere reads them."""

from typing import Any

import pytest
from msgspec import Raw

from fakes.gemini import body_of
from pointsman.domain.conversations import (
    AnswerFormat,
    Audio,
    Conversation,
    DocumentPart,
    Image,
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
)
from pointsman.wire.upstreams.cohere import HALVES

ASKED = Turn("user", (Text("hello"),))
SCHEMA = Raw(b'{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}')
TOOL, OTHER = Tool("f", "finds", SCHEMA), Tool("g")


def body(*turns: Turn, **fields: Any) -> dict[str, Any]:
    written = HALVES.write_request(Conversation(origin="openai", turns=turns or (ASKED,), **fields), False)
    assert (written.cannot, written.dropped) == ((), ())
    return body_of(written.fields)


def written(*turns: Turn, **fields: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the parts that cannot be expressed, and the dropped fields."""
    found = HALVES.write_request(Conversation(origin="openai", turns=turns or (ASKED,), **fields), False)
    return found.cannot, found.dropped


def test_instructions_are_one_message_at_the_beginning() -> None:
    later = Turn("system", (Text("c"),))
    assert body(ASKED, later, system=(Text("a"), Text("b")))["messages"] == [
        {"role": "system", "content": "a\n\nb\n\nc"},
        {"role": "user", "content": "hello"},
    ]


def test_loop_with_tools_has_a_plan_and_a_message_for_each_result() -> None:
    asked = Turn(
        "assistant",
        (
            Reasoning("hm", "s", origin="cohere"),
            Text("I look."),
            ToolCall("c1", "f", '{"city":"Oslo"}'),
            ToolCall("c2", "g", ""),
        ),
    )
    told = Turn("user", (ToolResult("c1", (Text("rain"), Text("wind"))), ToolResult("c2"), Text("go on")))
    answered = Turn("assistant", (Text("It "), Refusal("rains.")))
    assert body(ASKED, asked, told, answered)["messages"][1:] == [
        {
            "role": "assistant",
            "tool_plan": "I look.",
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"city":"Oslo"}'}},
                {"id": "c2", "type": "function", "function": {"name": "g", "arguments": "{}"}},
            ],
        },
        {
            "role": "tool",
            "tool_call_id": "c1",
            "content": [{"type": "text", "text": "rain"}, {"type": "text", "text": "wind"}],
        },
        {"role": "tool", "tool_call_id": "c2", "content": ""},
        {"role": "user", "content": "go on"},
        {"role": "assistant", "content": "It rains."},
    ]


def test_images_and_text_documents_are_parts() -> None:
    parts = (
        Text("see"),
        Image(url="https://a.test/b.png", detail="low"),
        Image(data="AAAA", media_type="image/jpg"),
        DocumentPart(text="body", name="doc"),
    )
    assert body(Turn("user", parts))["messages"][0]["content"] == [
        {"type": "text", "text": "see"},
        {"type": "image_url", "image_url": {"url": "https://a.test/b.png", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,AAAA"}},
        {"type": "text", "text": "doc\n\nbody"},
    ]


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (Audio("AAAA", "wav"), "a recording"),
        (Image(data="AAAA", media_type="image/tiff"), "an image of type image/tiff"),
        (DocumentPart(data="AAAA", media_type="application/pdf"), "a document of type application/pdf"),
        (DocumentPart(url="https://a.test/b.pdf"), "a document at an address"),
    ],
)
def test_parts_without_a_form_are_named(part: Any, expected: str) -> None:
    assert written(Turn("user", (Text("x"), part)))[0] == (expected,)


def test_image_in_a_result_is_named() -> None:
    told = Turn("user", (ToolResult("c1", (Text("a"), Image(url="https://a.test/b.png"))),))
    assert written(ASKED, told)[0] == ("an image in the result of a tool",)


def test_tools_and_their_choice() -> None:
    found = body(tools=(TOOL, OTHER), tool_choice=ToolChoice("required"))
    assert found["tool_choice"] == "REQUIRED"
    assert "strict_tools" not in found
    assert [tool["function"]["name"] for tool in found["tools"]] == ["f", "g"]
    assert found["tools"][1]["function"]["parameters"] == {"type": "object", "properties": {}}
    assert body(tools=(TOOL,), tool_choice=ToolChoice("none"))["tool_choice"] == "NONE"
    assert "tool_choice" not in body(tools=(TOOL,), tool_choice=ToolChoice("auto"))
    assert body(tools=(Tool("f", schema=SCHEMA, strict=True), OTHER))["strict_tools"] is True


def test_named_tool_is_the_only_one() -> None:
    found = body(tools=(TOOL, OTHER), tool_choice=ToolChoice("named", "g"))
    assert ([tool["function"]["name"] for tool in found["tools"]], found["tool_choice"]) == (["g"], "REQUIRED")
    cannot, _ = written(tools=(TOOL,), tool_choice=ToolChoice("named", "x"))
    assert cannot == ("a choice of the tool 'x', which is not in tools",)


def test_sampling_has_coheres_names_and_bounds() -> None:
    given = Sampling(
        temperature=0.5,
        top_p=1.0,
        top_k=900,
        stop=("a",),
        presence_penalty=0.5,
        frequency_penalty=0.0,
        seed=7,
        logprobs=True,
    )
    assert body(sampling=given, max_tokens=9) == {
        "messages": [{"role": "user", "content": "hello"}],
        "stream": False,
        "temperature": 0.5,
        "p": 0.99,
        "k": 500,
        "stop_sequences": ["a"],
        "presence_penalty": 0.5,
        "frequency_penalty": 0.0,
        "seed": 7,
        "logprobs": True,
        "max_tokens": 9,
    }


def test_sampling_that_cohere_lacks_is_named() -> None:
    given = Sampling(
        presence_penalty=1.5, frequency_penalty=-1, choices=2, stop=tuple("abcdef"), seed=-1, top_logprobs=3
    )
    assert written(sampling=given) == (
        (
            "presence_penalty outside 0 to 1",
            "frequency_penalty outside 0 to 1",
            "more than 5 texts in stop",
            "n above 1",
        ),
        ("seed", "top_logprobs"),
    )


@pytest.mark.parametrize(
    ("thinking", "expected"),
    [
        (Thinking(), None),
        (Thinking(effort="none"), {"type": "disabled"}),
        (Thinking(is_on=False), {"type": "disabled"}),
        (Thinking(is_on=True), {"type": "enabled"}),
        (Thinking(effort="low"), {"type": "enabled", "token_budget": 1024}),
        (Thinking(is_on=True, budget_tokens=300), {"type": "enabled", "token_budget": 300}),
    ],
)
def test_reasoning_has_a_budget(thinking: Thinking, expected: object) -> None:
    assert body(thinking=thinking).get("thinking") == expected


def test_form_of_an_answer_excludes_tools() -> None:
    assert body(format=AnswerFormat())["response_format"] == {"type": "json_object"}
    found = body(format=AnswerFormat(SCHEMA, "place"))["response_format"]
    assert (found["type"], found["json_schema"]["required"]) == ("json_object", ["city"])
    cannot, _ = written(format=AnswerFormat(), tools=(TOOL,))
    assert cannot == ("the form of an answer (response_format) together with tools",)


def test_coheres_own_fields_pass_and_unknown_ones_are_named() -> None:
    given = {"documents": Raw(b'["a text"]'), "safety_mode": Raw(b'"STRICT"')}
    found = body(rest=given)
    assert (found["documents"], found["safety_mode"]) == (["a text"], "STRICT")
    assert written(rest={"x_field": Raw(b"1")})[0] == ("x_field",)


def test_labels_are_dropped() -> None:
    cannot, dropped = written(user="u", metadata=Raw(b"{}"), service_tier="flex", prompt_cache_key="k", verbosity="low")
    assert cannot == ()
    assert dropped == ("verbosity", "user", "metadata", "service_tier", "prompt_cache_key")
