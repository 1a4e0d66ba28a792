"""Chat completions of clients as conversations: messages, parts, tools, settings, and the fields without a place."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from fakes.corpora import recorded
from fakes.wire import parse, rejected
from pointsman.domain.conversations import (
    AnswerFormat,
    Audio,
    CacheMark,
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
from pointsman.domain.failures import Rejection
from pointsman.wire.openai_chat import HALVES
from pointsman.wire.openai_chat.read_request import read_request

USER = {"role": "user", "content": "hello"}
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
WEATHER_CALL = {"id": "a", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
TIME = {"type": "function", "function": {"name": "time"}}


def read(*messages: dict[str, Any], **fields: object) -> Conversation:
    return read_request(parse({"model": "m", "messages": list(messages) or [USER], **fields}))


def message_of(*messages: dict[str, Any]) -> str:
    return rejected(lambda: read(*messages)).message


def rest(conversation: Conversation) -> dict[str, Any]:
    return {name: msgspec.json.decode(raw) for name, raw in conversation.rest.items()}


def test_leading_instructions_are_the_system_and_later_ones_are_turns() -> None:
    found = read(
        {"role": "system", "content": "a"},
        {"role": "developer", "content": [{"type": "text", "text": "b"}, {"type": "text", "text": "c"}]},
        USER,
        {"role": "system", "content": "d"},
    )
    assert found.system == (Text("a"), Text("b"), Text("c"))
    assert found.turns == (Turn("user", (Text("hello"),)), Turn("system", (Text("d"),)))


def test_named_messages_keep_their_name() -> None:
    found = read({"role": "system", "content": "a", "name": "example_user"}, {**USER, "name": "Ada"})
    assert found.system == ()
    assert [turn.name for turn in found.turns] == ["example_user", "Ada"]


def test_parts_of_a_message_are_read() -> None:
    found = read(
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "look", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
                {"type": "image_url", "image_url": {"url": "https://a.test/b.png", "detail": "low"}},
                {"type": "image_url", "image_url": "data:image/PNG;base64,QUJD"},
                {"type": "input_audio", "input_audio": {"data": "QQ==", "format": "wav"}},
                {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,QQ=="}},
                {"type": "file", "file": {"file_data": "QQ=="}, "prompt_cache_breakpoint": {"mode": "explicit"}},
                {"type": "file", "file": {"file_data": "https://a.test/b.pdf"}},
            ],
        }
    )
    assert found.turns[0].parts == (
        Text("look", CacheMark("1h")),
        Image(url="https://a.test/b.png", detail="low"),
        Image(data="QUJD", media_type="image/png"),
        Audio("QQ==", "wav"),
        DocumentPart(data="QQ==", media_type="application/pdf", name="a.pdf"),
        DocumentPart(data="QQ==", media_type="application/pdf", cache=CacheMark()),
        DocumentPart(url="https://a.test/b.pdf"),
    )
    assert not found.rest


def test_parts_without_a_place_stay_in_rest_under_their_field() -> None:
    video = {"type": "video_url", "video_url": {"url": "https://a.test/b.mp4"}}
    stored = {"type": "file", "file": {"file_id": "file-1"}}
    found = read(
        {"role": "user", "content": [{"type": "text", "text": "x"}, video, stored]},
        {"role": "assistant", "audio": {"id": "audio_1"}, "content": "y"},
    )
    assert rest(found) == {
        "messages[0].content[1] of type video_url": video,
        "messages[0].content[2] of type file": stored,
        "messages[1].audio": {"id": "audio_1"},
    }
    assert found.turns[0].parts == (Text("x"),)


def test_calls_of_tools_and_their_results_are_read() -> None:
    found = read(
        USER,
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "weather", "arguments": '{"in": "Rome"'}},
                {"id": "b", "type": "custom", "custom": {"name": "shell", "input": "ls"}},
            ],
        },
        {"role": "tool", "tool_call_id": "a", "content": "sun", "cache_control": {"type": "ephemeral"}},
        {"role": "tool", "tool_call_id": "b", "content": [{"type": "text", "text": "x"}]},
        USER,
    )
    assert found.turns[1:] == (
        Turn("assistant", (ToolCall("a", "weather", '{"in": "Rome"'), ToolCall("b", "shell", "ls", is_custom=True))),
        Turn(
            "user",
            (ToolResult("a", (Text("sun"),), cache=CacheMark()), ToolResult("b", (Text("x"),), is_custom=True)),
        ),
        Turn("user", (Text("hello"),)),
    )


def test_result_belongs_to_the_last_call_with_its_id() -> None:
    custom = {"id": "a", "type": "custom", "custom": {"name": "shell", "input": "ls"}}
    function = {"id": "a", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    result = {"role": "tool", "tool_call_id": "a", "content": "x"}
    for calls in ((custom, function), (function, custom)):
        messages = [one for call in calls for one in ({"role": "assistant", "tool_calls": [call]}, result)]
        turns = read(USER, *messages).turns
        results = [part for turn in turns for part in turn.parts if isinstance(part, ToolResult)]
        assert [one.is_custom for one in results] == [call is custom for call in calls]


def test_older_functions_are_tools() -> None:
    found = read(
        USER,
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
        {"role": "function", "name": "f", "content": "done"},
        functions=[{"name": "f", "parameters": {"type": "object"}}],
        function_call={"name": "f"},
    )
    assert found.tools == (Tool("f", schema=Raw(b'{"type": "object"}')),)
    assert found.tool_choice == ToolChoice("named", "f")
    assert found.turns[1:] == (
        Turn("assistant", (ToolCall("call_of_1", "f", "{}"),)),
        Turn("user", (ToolResult("call_of_1", (Text("done"),)),)),
    )


def test_refusals_are_read_as_field_and_as_part() -> None:
    found = read(
        {"role": "assistant", "content": None, "refusal": "no"},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "never"}]},
        {"role": "assistant", "content": ""},
    )
    assert [turn.parts for turn in found.turns] == [(Refusal("no"),), (Refusal("never"),)]


def test_parts_of_reasoning_details_are_one_block() -> None:
    details: list[dict[str, object]] = [
        {"type": "reasoning.text", "text": "I ", "index": 0, "format": "anthropic-claude-v1"},
        {"type": "reasoning.text", "text": "think", "index": 0},
        {"type": "reasoning.text", "signature": "pm.anthropic.SIG", "index": 0},
        {"type": "reasoning.encrypted", "data": "pm.openai-responses.ENC", "id": "rs_1", "index": 1},
        {"type": "reasoning.text", "text": "own", "signature": "S", "index": 2, "format": "anthropic-claude-v1"},
        {"type": "reasoning.summary", "summary": "in short", "index": 3, "format": "openai-responses-v1"},
    ]
    found = read({"role": "assistant", "content": "x", "reasoning_content": "I think", "reasoning_details": details})
    assert found.turns[0].parts == (
        Reasoning("I think", "SIG", origin="anthropic"),
        Reasoning(redacted="ENC", origin="openai-responses", id="rs_1"),
        Reasoning("own", "text:anthropic-claude-v1::S", origin="openai-chat"),
        Reasoning("in short", "summary:openai-responses-v1::", origin="openai-chat"),
        Text("x"),
    )


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_plain_reasoning_keeps_the_name_of_its_field(field: str) -> None:
    found = read({"role": "assistant", "content": "x", field: "hm", "reasoning_details": []})
    assert found.turns[0].parts[0] == Reasoning("hm", f"{field}:::", origin="openai-chat")


def test_tools_are_read() -> None:
    grammar = {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: A"}}
    hosted = {"type": "web_search_preview"}
    found = read(
        tools=[
            {"type": "function", "function": {"name": "f", "description": "d", "parameters": {}, "strict": True}},
            {"type": "function", "name": "flat", "parameters": {"type": "object"}},
            {"type": "custom", "custom": {"name": "c", "format": grammar}},
            hosted,
        ],
        parallel_tool_calls=False,
        tool_choice="required",
    )
    assert found.tools == (
        Tool("f", "d", None, strict=True),
        Tool("flat", schema=Raw(b'{"type": "object"}')),
        Tool("c", is_custom=True, syntax="lark", grammar="start: A"),
    )
    assert found.tool_choice == ToolChoice("required", parallel=False)
    assert rest(found) == {"tools[3] of type web_search_preview": hosted}


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("auto", ToolChoice("auto")),
        ("none", ToolChoice("none")),
        ({"type": "function", "function": {"name": "time"}}, ToolChoice("named", "time")),
        ({"type": "custom", "custom": {"name": "c"}}, ToolChoice("named", "c")),
        ({"type": "function", "name": "time"}, ToolChoice("named", "time")),
        (None, ToolChoice()),
    ],
)
def test_choices_of_tools_are_read(choice: object, expected: ToolChoice) -> None:
    assert read(tools=[WEATHER, TIME], tool_choice=choice).tool_choice == expected


def test_choice_of_some_tools_leaves_out_the_others() -> None:
    def chosen(mode: str, name: str) -> Conversation:
        tools = [{"type": "function", "function": {"name": name}}]
        choice = {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}}
        return read(tools=[WEATHER, TIME], tool_choice=choice)

    found = chosen("required", "time")
    assert [tool.name for tool in found.tools] == ["time"]
    assert found.tool_choice == ToolChoice("required")
    unknown = chosen("auto", "nothing")
    assert len(unknown.tools) == 2
    assert list(unknown.rest) == ["tool_choice of type allowed_tools"]


def test_settings_are_read() -> None:
    found = read(
        temperature=1,
        top_p=0.5,
        top_k=3,
        stop="END",
        presence_penalty=0.1,
        frequency_penalty=0.2,
        seed=7,
        n=2,
        logprobs=True,
        top_logprobs=4,
        max_completion_tokens=99,
        verbosity="low",
        user="u",
        metadata={"a": "b"},
        service_tier="flex",
        prompt_cache_key="k",
    )
    assert found.sampling == Sampling(1.0, 0.5, 3, ("END",), 0.1, 0.2, 7, 2, True, 4)
    assert (found.max_tokens, found.verbosity, found.user) == (99, "low", "u")
    assert (found.service_tier, found.prompt_cache_key) == ("flex", "k")
    assert found.metadata == Raw(b'{"a": "b"}')
    assert not found.rest


def test_newer_label_of_a_user_replaces_the_older() -> None:
    assert read(safety_identifier="new", user="old").user == "new"


def test_defaults_and_consumed_fields_leave_no_rest() -> None:
    found = read(
        stream=True,
        stream_options={"include_usage": True, "include_obfuscation": False},
        fallbacks=["x"],
        store=False,
        modalities=["text"],
        logit_bias={},
        prediction=None,
        audio=None,
        service_tier="auto",
        verbosity="medium",
        response_format={"type": "text"},
        reasoning_effort=None,
        usage={"include": True},
    )
    assert found == read()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("store", True),
        ("modalities", ["text", "audio"]),
        ("logit_bias", {"5": 1}),
        ("prediction", {"type": "content", "content": "x"}),
        ("web_search_options", {}),
        ("audio", {"voice": "x", "format": "wav"}),
        ("prompt_cache_retention", "24h"),
        ("field-of-some-server", 5),
    ],
)
def test_fields_of_one_dialect_stay_in_rest(field: str, value: object) -> None:
    assert rest(read(**{field: value})) == {field: value}


def test_formats_are_read() -> None:
    schema = {"name": "n", "description": "d", "schema": {"type": "object"}, "strict": True}
    found = read(response_format={"type": "json_schema", "json_schema": schema})
    assert found.format == AnswerFormat(Raw(b'{"type": "object"}'), "n", "d", True)
    assert read(response_format={"type": "json_object"}).format == AnswerFormat()
    assert list(read(response_format={"type": "grammar"}).rest) == ["response_format of type grammar"]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"reasoning_effort": "low"}, Thinking(True, "low")),
        ({"reasoning_effort": "none"}, Thinking(False, "none")),
        ({"reasoning_effort": "default"}, Thinking()),
        ({"reasoning": {"effort": "high", "exclude": True}}, Thinking(True, "high", None, "omitted")),
        ({"reasoning": {"max_tokens": 2000}}, Thinking(True, None, 2000)),
        ({"reasoning": {"enabled": False}}, Thinking(False)),
        ({"thinking": {"type": "enabled", "budget_tokens": 5}}, Thinking(True, None, 5)),
        ({"thinking": {"type": "disabled"}}, Thinking(False)),
        ({"include_reasoning": False}, Thinking(summary="omitted")),
        ({"include_reasoning": True}, Thinking()),
    ],
)
def test_requests_for_reasoning_are_read(fields: dict[str, object], expected: Thinking) -> None:
    found = read(**fields)
    assert found.thinking == expected
    assert not found.rest


def test_unknown_requests_for_reasoning_stay_in_rest() -> None:
    assert rest(read(reasoning_effort="huge")) == {"reasoning_effort of huge": "huge"}
    assert rest(read(reasoning={"depth": 1})) == {"reasoning": {"depth": 1}}
    assert rest(read(thinking="yes")) == {"thinking": "yes"}


def test_wrong_shapes_are_rejected_with_their_field() -> None:
    assert "'messages[0].role'" in message_of({"role": "owner", "content": "x"})
    assert "'messages[0].content[0]" in message_of({"role": "user", "content": [{"text": "x"}]})
    assert "'messages[0].tool_call_id'" in message_of({"role": "tool", "content": "x"})
    assert "'messages[0].name'" in message_of({"role": "function", "name": "f", "content": "x"})
    assert "'messages[0].tool_calls[0].function'" in message_of({"role": "assistant", "tool_calls": [{"id": "x"}]})
    assert "'tool_choice'" in rejected(lambda: read(tools=[TIME], tool_choice="maybe")).message
    assert "'tools[0]" in rejected(lambda: read(tools=[{"type": "function"}])).message
    assert "schema" in rejected(lambda: read(response_format={"type": "json_schema", "json_schema": {}})).message


def test_mark_of_the_request_is_put_on_its_last_part() -> None:
    found = read(
        USER,
        {"role": "assistant", "content": "x", "tool_calls": [WEATHER_CALL]},
        {"role": "tool", "tool_call_id": "a", "content": "sun"},
        cache_control={"type": "ephemeral"},
    )
    assert found.turns[2].parts == (ToolResult("a", (Text("sun"),), cache=CacheMark()),)
    assert not found.rest


def test_recorded_requests_can_be_read() -> None:
    for exchange in recorded("/chat/completions"):
        if exchange.request:
            found = read_request(parse(exchange.request))
            assert found.turns
            assert HALVES.write_request(found, False).fields


SCALARS = (
    st.none() | st.booleans() | st.integers(-1, 3) | st.sampled_from(["", "x", "user", "tool", "text", "function"])
)
NAMES = st.sampled_from(
    [
        "role",
        "content",
        "name",
        "refusal",
        "tool_calls",
        "function_call",
        "tool_call_id",
        "audio",
        "reasoning_content",
        "reasoning_details",
        "type",
        "text",
        "image_url",
        "url",
        "file",
        "file_data",
        "cache_control",
        "id",
        "function",
    ]
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=4), max_leaves=12
)
ROLES = st.sampled_from(["system", "user", "assistant", "tool", "function"])
FIELDS = st.sampled_from(["tools", "tool_choice", "response_format", "reasoning", "thinking", "stop", "cache_control"])


@settings(max_examples=300)
@given(ROLES, st.dictionaries(NAMES, VALUES, max_size=4), FIELDS, VALUES)
def test_any_request_is_read_or_rejected(role: str, message: dict[str, Any], field: str, value: object) -> None:
    body = {"model": "m", "messages": [{**message, "role": role}], field: value}
    param: str | None = "none at fault"
    try:
        HALVES.write_request(read_request(parse(body)), True)
    except Rejection as rejection:
        param = rejection.failure.param
    assert param
