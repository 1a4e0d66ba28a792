"""Conversations of other dialects as requests to Anthropic, and the reasons why some have none."""

import json
from typing import Any

import pytest
from msgspec import Raw

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
from pointsman.wire.dialects.anthropic.request_writer import (
    DEFAULT_MAX_TOKENS,
    MAX_USER,
    with_budget,
    write_request,
)
from pointsman.wire.translation import DROPPABLE, OF_GEMINI, OF_REASONING, OF_SCHEMAS

HELLO = Turn("user", (Text("hello"),))
TOOL = Tool("f", "d", Raw(b'{"type":"object"}'))


def written(*turns: Turn, **fields: Any) -> Written:
    return write_request(Conversation(origin="openai", turns=turns or (HELLO,), **fields), False)


def body(*turns: Turn, **fields: Any) -> dict[str, Any]:
    found = written(*turns, **fields)
    assert not found.cannot
    return {name: json.loads(bytes(raw)) for name, raw in found.fields.items()}


def user(*parts: Part) -> Turn:
    return Turn("user", parts)


def answer(*parts: Part) -> Turn:
    return Turn("assistant", parts)


def test_plain_conversation() -> None:
    assert body(system=(Text("a"), Text("b", CacheMark("1h"))), max_tokens=5) == {
        "max_tokens": 5,
        "system": [
            {"type": "text", "text": "a"},
            {"type": "text", "text": "b", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
        ],
        "messages": [{"role": "user", "content": [{"type": "text", "text": "hello"}]}],
    }


def test_missing_bound_is_replaced() -> None:
    assert body()["max_tokens"] == DEFAULT_MAX_TOKENS


def test_stream_is_requested() -> None:
    assert write_request(Conversation(origin="openai", turns=(HELLO,)), True).fields["stream"] == Raw(b"true")


def test_results_of_tools_come_first_in_one_turn() -> None:
    calls = answer(Text("I look."), ToolCall("a", "f", "{}"), ToolCall("b", "f", '{"x":1}'))
    turns = (HELLO, calls, user(ToolResult("a", (Text("1"),))), user(Text("hurry"), ToolResult("b", is_error=True)))
    messages = body(*turns, tools=(TOOL,))["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant", "user"]
    assert [block["type"] for block in messages[2]["content"]] == ["tool_result", "tool_result", "text"]
    assert messages[1]["content"][2]["input"] == {"x": 1}
    assert messages[2]["content"][1] == {"type": "tool_result", "tool_use_id": "b", "is_error": True}


def test_instructions_inside_the_conversation_move_to_its_beginning() -> None:
    turns = (HELLO, answer(Text("hi")), Turn("system", (Text("now in German"),)), user(Text("go on")))
    found = body(*turns, system=(Text("be brief"),))
    assert [block["text"] for block in found["system"]] == ["be brief", "now in German"]
    assert [message["role"] for message in found["messages"]] == ["user", "assistant", "user"]


def test_blank_texts_and_empty_messages_are_left_out() -> None:
    turns = (HELLO, answer(Text(""), Text(" ")), user(Text("\n"), Text("more")))
    assert [block["text"] for block in body(*turns)["messages"][0]["content"]] == ["hello", "more"]


def test_ids_of_calls_are_made_valid_and_unique() -> None:
    first, second = ToolCall("functions.f:0", "f", "{}"), ToolCall("functions.f:0", "f", "{}")
    turns = (HELLO, answer(first), user(ToolResult("functions.f:0")), answer(second), user(ToolResult("functions.f:0")))
    messages = body(*turns, tools=(TOOL,))["messages"]
    calls = [messages[1]["content"][0]["id"], messages[3]["content"][0]["id"]]
    results = [messages[2]["content"][0]["tool_use_id"], messages[4]["content"][0]["tool_use_id"]]
    assert calls == results
    assert calls[0] != calls[1]
    assert all(name.replace("_", "").replace("-", "").isalnum() and name.isascii() for name in calls)
    again = body(*turns, tools=(TOOL,))["messages"]
    assert again == messages


def test_valid_ids_are_kept() -> None:
    messages = body(HELLO, answer(ToolCall("call_1", "f", "{}")), user(ToolResult("call_1")), tools=(TOOL,))["messages"]
    assert messages[1]["content"][0]["id"] == messages[2]["content"][0]["tool_use_id"] == "call_1"


@pytest.mark.parametrize(
    ("arguments", "given"),
    [("", {}), (' {"a":1} ', {"a": 1}), ("[1]", {"INVALID_JSON": "[1]"}), ('{"a', {"INVALID_JSON": '{"a'})],
)
def test_arguments_become_an_object(arguments: str, given: dict[str, Any]) -> None:
    message = body(HELLO, answer(ToolCall("a", "f", arguments)), tools=(TOOL,))["messages"][1]
    assert message["content"][0]["input"] == given


def test_reasoning_goes_back_to_its_author_only() -> None:
    thoughts = (
        Reasoning(text="t", signature="s", origin="anthropic"),
        Reasoning(redacted="r", origin="anthropic"),
        Reasoning(text="unsigned", origin="anthropic"),
        Reasoning(text="t", signature="s", origin="responses"),
    )
    message = body(HELLO, answer(*thoughts, Text("a"), Refusal("no")))["messages"][1]
    assert message["content"] == [
        {"type": "thinking", "thinking": "t", "signature": "s"},
        {"type": "redacted_thinking", "data": "r"},
        {"type": "text", "text": "a"},
        {"type": "text", "text": "no"},
    ]


def test_media() -> None:
    parts = (
        Image(url="https://x.test", detail="auto"),
        Image(data="AA==", media_type="image/webp"),
        DocumentPart(data="aGk=", media_type="text/plain; charset=utf-8", name="a.txt"),
        DocumentPart(data="AA==", media_type="application/pdf"),
        DocumentPart(url="https://x.test/a.pdf"),
    )
    assert body(user(*parts))["messages"][0]["content"] == [
        {"type": "image", "source": {"type": "url", "url": "https://x.test"}},
        {"type": "image", "source": {"type": "base64", "media_type": "image/webp", "data": "AA=="}},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "hi"}, "title": "a.txt"},
        {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "AA=="}},
        {"type": "document", "source": {"type": "url", "url": "https://x.test/a.pdf"}},
    ]


def test_schema_of_a_tool_gets_its_type() -> None:
    tools = (Tool("a"), Tool("b", schema=Raw(b'{"properties":{}}'), strict=False), TOOL)
    found = body(tools=tools)["tools"]
    assert [tool["input_schema"] for tool in found] == [
        {"type": "object", "properties": {}},
        {"type": "object", "properties": {}},
        {"type": "object"},
    ]
    assert [tool.get("strict") for tool in found] == [None, False, None]


@pytest.mark.parametrize(
    ("choice", "given"),
    [
        (ToolChoice(), None),
        (ToolChoice(parallel=True), None),
        (ToolChoice(parallel=False), {"type": "auto", "disable_parallel_tool_use": True}),
        (ToolChoice("required"), {"type": "any"}),
        (ToolChoice("named", "f", parallel=True), {"type": "tool", "name": "f", "disable_parallel_tool_use": False}),
        (ToolChoice("none", parallel=False), {"type": "none"}),
    ],
)
def test_choice_of_tools(choice: ToolChoice, given: dict[str, Any] | None) -> None:
    assert body(tools=(TOOL,), tool_choice=choice).get("tool_choice") == given


def test_choice_without_tools_is_left_out() -> None:
    assert "tool_choice" not in body(tool_choice=ToolChoice("auto", parallel=False))


@pytest.mark.parametrize(
    ("thinking", "given", "config"),
    [
        (Thinking(), None, None),
        (Thinking(is_on=False), {"type": "disabled"}, None),
        (Thinking(effort="none"), {"type": "disabled"}, None),
        (Thinking(effort="minimal"), {"type": "adaptive"}, {"effort": "low"}),
        (Thinking(effort="xhigh", summary="auto"), {"type": "adaptive", "display": "summarized"}, {"effort": "xhigh"}),
        (Thinking(is_on=True, budget_tokens=2000), {"type": "enabled", "budget_tokens": 2000}, None),
        (Thinking(is_on=True, budget_tokens=9999), {"type": "enabled", "budget_tokens": 3999}, None),
    ],
)
def test_thinking(thinking: Thinking, given: dict[str, Any] | None, config: dict[str, Any] | None) -> None:
    found = body(thinking=thinking, max_tokens=4000)
    assert (found.get("thinking"), found.get("output_config")) == (given, config)


def test_effort_alone_is_written_if_a_call_is_forced() -> None:
    found = body(thinking=Thinking(effort="low"), tools=(TOOL,), tool_choice=ToolChoice("required"))
    assert found["output_config"] == {"effort": "low"}
    assert "thinking" not in found


def test_format_is_written_beside_the_effort() -> None:
    schema = Raw(b'{"type":"object","properties":{"a":{}}}')
    form = AnswerFormat(schema=schema, name="n", description="about it", strict=True)
    found = body(format=form, thinking=Thinking(effort="low"))
    assert found["output_config"] == {
        "effort": "low",
        "format": {
            "type": "json_schema",
            "schema": {
                "type": "object",
                "properties": {"a": {}},
                "additionalProperties": False,
                "description": "about it",
            },
        },
    }


def test_labels() -> None:
    found = body(user="u", service_tier="default", sampling=Sampling(temperature=1.0, top_p=0.5, stop=("x",)))
    assert (found["metadata"], found["service_tier"]) == ({"user_id": "u"}, "standard_only")
    assert (found["temperature"], found["top_p"], found["stop_sequences"]) == (1.0, 0.5, ["x"])


def test_fields_that_only_label_are_dropped() -> None:
    found = written(
        user(Image(url="https://x.test", detail="high")),
        user="u" * (MAX_USER + 1),
        metadata=Raw(b'{"a":"b"}'),
        service_tier="flex",
        prompt_cache_key="k",
        verbosity="low",
        sampling=Sampling(seed=1, logprobs=True, top_logprobs=2),
    )
    others = OF_GEMINI | OF_SCHEMAS | OF_REASONING | {"defer_loading"}  # that field is this dialect's own
    assert set(found.dropped) == DROPPABLE - others
    assert not found.cannot
    assert not {"metadata", "service_tier"} & set(found.fields)


@pytest.mark.parametrize(
    ("turns", "fields", "reason"),
    [
        ((), {"sampling": Sampling(temperature=1.5)}, "temperature above 1"),
        ((), {"sampling": Sampling(stop=("\n",))}, "stop with nothing but white space"),
        ((), {"sampling": Sampling(presence_penalty=0.1)}, "presence_penalty"),
        ((), {"sampling": Sampling(choices=2)}, "n above 1"),
        ((), {"format": AnswerFormat()}, "a JSON object without a schema as the format of the answer"),
        ((), {"tools": (Tool("c", is_custom=True),)}, "the tool 'c' of type custom"),
        ((), {"rest": {"logit_bias": Raw(b"{}")}}, "logit_bias"),
        ((), {"thinking": Thinking(is_on=True, budget_tokens=5), "max_tokens": 1024}, "thinking with max_tokens"),
        (
            (),
            {"thinking": Thinking(is_on=True), "tools": (TOOL,), "tool_choice": ToolChoice("required")},
            "tool_choice that forces a call, together with thinking",
        ),
        ((Turn("user", (Text("x"),), name="Ann"),), {}, "the name 'Ann' of a message"),
        ((user(Audio("AA==", "wav")), HELLO), {}, "input_audio"),
        ((user(Image(data="AA==", media_type="image/tiff")),), {}, "an image of type image/tiff"),
        ((user(Image(url="data:image/png,abc")),), {}, "an image in a data URL without base64"),
        ((user(DocumentPart(url="DATA:text/plain,abc")),), {}, "a document in a data URL without base64"),
        ((user(DocumentPart(data="AA==", media_type="application/zip")),), {}, "a document of type application/zip"),
        ((user(DocumentPart(data="/w==", media_type="text/csv")), HELLO), {}, "a document whose text is not UTF-8"),
        ((HELLO, answer(ToolCall("a", "c", "x", is_custom=True))), {}, "a call of the custom tool 'c'"),
        ((user(Text("")),), {}, "a conversation without a message of the user"),
    ],
)
def test_inexpressible_part_is_named(turns: tuple[Turn, ...], fields: dict[str, Any], reason: str) -> None:
    (found,) = written(*turns, **fields).cannot
    assert found.startswith(reason)


def test_older_model_gets_a_budget_instead_of_an_effort() -> None:
    form = AnswerFormat(schema=Raw(b'{"type":"object"}'))
    fields = written(thinking=Thinking(effort="high", summary="auto"), format=form, max_tokens=9000).fields
    older = {name: json.loads(bytes(raw)) for name, raw in with_budget(fields).items()}
    assert older["thinking"] == {"type": "enabled", "budget_tokens": 8999, "display": "summarized"}
    assert set(older["output_config"]) == {"format"}
    assert with_budget(written(thinking=Thinking(effort="low")).fields)["thinking"] == Raw(
        b'{"type":"enabled","budget_tokens":1024}'
    )


def test_older_model_does_not_think_without_room() -> None:
    fields = written(thinking=Thinking(effort="high"), max_tokens=500).fields
    assert not {"thinking", "output_config"} & set(with_budget(fields))
    plain = written().fields
    assert with_budget(plain) == plain
