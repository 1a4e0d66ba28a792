"""Requests of clients with Anthropic's dialect: blocks become parts, and fields without a common form are listed."""

import json
from typing import Any

import pytest
from msgspec import Raw

from fakes.anthropic import HELLO, message_call
from fakes.corpora import recorded
from fakes.wire import rejected
from pointsman.domain.conversations import (
    CacheMark,
    Conversation,
    DocumentPart,
    Image,
    Reasoning,
    Text,
    Thinking,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from pointsman.domain.pieces import SignaturePiece
from pointsman.wire.dialects.anthropic._blocks import MAX_LISTED
from pointsman.wire.dialects.anthropic.answer_writer import shown_signature
from pointsman.wire.dialects.anthropic.request_reader import read_request
from pointsman.wire.dialects.openai_responses.request import write_request as write_response
from pointsman.wire.json_object import encode_object
from pointsman.wire.openai_chat.write_request import write_request as write_chat

EPHEMERAL = {"type": "ephemeral"}


def read(**fields: Any) -> Conversation:
    return read_request(message_call({**HELLO, **fields}))


def parts_of(*blocks: Any, role: str = "user") -> tuple[object, ...]:
    return read(messages=[{"role": role, "content": list(blocks)}]).turns[0].parts


def test_warming_a_cache_has_no_common_form() -> None:
    found = read(max_tokens=0)
    assert list(found.rest) == ["max_tokens of 0"]
    for write in (write_chat, write_response):
        assert "max_tokens of 0" in write(found, False).cannot


def test_plain_request() -> None:
    found = read(system="be brief", stream=True)
    assert (found.origin, found.max_tokens, found.rest) == ("anthropic", 100, {})
    assert found.system == (Text("be brief"),)
    assert [(turn.role, turn.parts) for turn in found.turns] == [("user", (Text("hello"),))]


@pytest.mark.parametrize(
    ("block", "part"),
    [
        ({"type": "text", "text": "a", "cache_control": {**EPHEMERAL, "ttl": "1h"}}, Text("a", CacheMark("1h"))),
        ({"type": "text", "text": "a", "citations": [{"type": "char_location"}]}, Text("a")),
        ({"type": "image", "source": {"type": "url", "url": "https://x.test"}}, Image(url="https://x.test")),
        (
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}},
            Image(data="AA==", media_type="image/png"),
        ),
        (
            {"type": "document", "source": {"type": "url", "url": "https://x.test"}, "title": "T", "context": None},
            DocumentPart(url="https://x.test", name="T"),
        ),
        (
            {
                "type": "document",
                "source": {"type": "text", "media_type": "text/plain", "data": "x"},
                "citations": {"enabled": False},
            },
            DocumentPart(text="x", media_type="text/plain"),
        ),
        (
            {"type": "thinking", "thinking": "t", "signature": "s"},
            Reasoning(text="t", signature="s", origin="anthropic"),
        ),
        (
            {"type": "thinking", "thinking": "t", "signature": "pm.responses.rs_1|enc"},
            Reasoning(text="t", signature="enc", origin="responses", id="rs_1"),
        ),
        ({"type": "redacted_thinking", "data": "d"}, Reasoning(redacted="d", origin="anthropic")),
        (
            {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}, "caller": {"type": "direct"}},
            ToolCall("t1", "f", '{"a": 1}'),
        ),
        ({"type": "tool_result", "tool_use_id": "t1", "content": "ok"}, ToolResult("t1", (Text("ok"),))),
        ({"type": "tool_result", "tool_use_id": "t1", "is_error": True}, ToolResult("t1", is_error=True)),
    ],
)
def test_block_becomes_a_part(block: dict[str, Any], part: object) -> None:
    assert parts_of(block) == (part,)


@pytest.mark.parametrize(
    ("block", "place"),
    [
        ({"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}, " of type server_tool_use"),
        ({"type": "search_result", "source": "https://x.test", "title": "T", "content": []}, " of type search_result"),
        ({"type": "image", "source": {"type": "file", "file_id": "f"}}, " of type image"),
        ({"type": "document", "source": {"type": "content", "content": "x"}}, " of type document"),
        ({"type": "document", "source": {"type": "url", "url": "u"}, "citations": {"enabled": True}}, ".citations"),
        ({"type": "document", "source": {"type": "url", "url": "u"}, "context": "c"}, ".context"),
        ({"type": "tool_use", "id": "t", "name": "f", "input": {}, "caller": {"type": "code_execution"}}, ".caller"),
        (
            {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "tool_result", "tool_use_id": "u"}]},
            ".content[0] of type tool_result",
        ),
        ({"type": "tool_result", "tool_use_id": "t", "toolset_name": "browser"}, ".toolset_name"),
    ],
)
def test_block_without_common_form_is_listed(block: dict[str, Any], place: str) -> None:
    found = read(messages=[{"role": "user", "content": [block]}])
    assert list(found.rest) == [f"messages[0].content[0]{place}"]


def test_list_of_blocks_without_common_form_is_short() -> None:
    blocks = [{"type": "container_upload", "file_id": "f"}] * 100
    assert len(read(messages=[{"role": "user", "content": blocks}]).rest) == MAX_LISTED


@pytest.mark.parametrize(("signature", "name"), [("enc", "rs_1"), ("a|b", ""), ("|", "rs_1"), ("enc", "")])
def test_proof_of_another_author_is_read_back_as_it_was_written(signature: str, name: str) -> None:
    shown = shown_signature(SignaturePiece(signature, "responses", id=name))
    block = {"type": "thinking", "thinking": "hm", "signature": shown}
    assert parts_of(block, role="assistant") == (Reasoning("hm", signature, origin="responses", id=name),)


def test_instructions_inside_the_conversation_keep_their_place() -> None:
    messages = [{"role": "user", "content": "a"}, {"role": "system", "content": [{"type": "text", "text": "b"}]}]
    assert [turn.role for turn in read(messages=messages).turns] == ["user", "system"]


def test_mark_of_the_request_goes_to_its_last_part() -> None:
    messages = [{"role": "user", "content": "a"}, {"role": "assistant", "content": [{"type": "text", "text": "b"}]}]
    found = read(messages=messages, cache_control=EPHEMERAL)
    assert found.turns[1].parts == (Text("b", CacheMark()),)
    assert found.turns[0].parts == (Text("a"),)


def test_tools_and_choice() -> None:
    schema = {"type": "object"}
    tools = [
        {"name": "f", "description": "d", "input_schema": schema, "strict": True, "cache_control": EPHEMERAL},
        {"type": "custom", "name": "g", "input_schema": schema, "defer_loading": True, "input_examples": [{}]},
        {"type": "bash_20250124", "name": "bash"},
    ]
    found = read(tools=tools, tool_choice={"type": "tool", "name": "f", "disable_parallel_tool_use": True})
    assert [(tool.name, tool.description, tool.strict) for tool in found.tools] == [("f", "d", True), ("g", "", None)]
    assert found.tools[0].schema == Raw(b'{"type": "object"}')
    assert found.tools[0].cache == CacheMark()
    assert found.tool_choice == ToolChoice("named", "f", parallel=False)
    assert [tool.is_deferred for tool in found.tools] == [False, True]
    assert set(found.rest) == {"tools[1].input_examples", "tools[2] of type bash_20250124"}


def test_reference_to_a_deferred_tool_is_a_text() -> None:
    """The search for it is the client's own, as in Claude Code."""
    result = {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "tool_reference", "tool_name": "g"}]}
    messages = [
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "search", "input": {}}]},
        {"role": "user", "content": [result]},
    ]
    tools = [{"name": "search", "input_schema": {}}, {"name": "g", "input_schema": {}, "defer_loading": True}]
    found = read(messages=messages, tools=tools)
    assert found.turns[1].parts == (ToolResult("t", (Text("The tool g is available."),)),)
    assert found.rest == {}
    for write in (write_chat, write_response):
        written = write(found, False)
        assert (written.cannot, written.dropped) == ((), ("defer_loading",))
        assert len(json.loads(encode_object(written.fields))["tools"]) == 2


@pytest.mark.parametrize(
    ("fields", "thinking"),
    [
        ({}, Thinking()),
        ({"thinking": {"type": "disabled"}}, Thinking(is_on=False)),
        ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, Thinking(is_on=True, budget_tokens=2000)),
        (
            {"thinking": {"type": "adaptive", "display": "omitted"}, "output_config": {"effort": "max"}},
            Thinking(is_on=True, effort="max", summary="omitted"),
        ),
    ],
)
def test_thinking(fields: dict[str, Any], thinking: Thinking) -> None:
    found = read(**fields)
    assert (found.thinking, found.rest) == (thinking, {})


def test_settings_and_labels() -> None:
    found = read(
        temperature=0.5,
        top_p=0.9,
        top_k=4,
        stop_sequences=["x"],
        metadata={"user_id": "u", "team": [1]},
        service_tier="standard_only",
        output_config={"format": {"type": "json_schema", "schema": {"type": "object"}}},
    )
    sampling = found.sampling
    assert (sampling.temperature, sampling.top_p, sampling.top_k, sampling.stop) == (0.5, 0.9, 4, ("x",))
    assert (found.user, found.metadata, found.service_tier) == ("u", Raw(b'{"team":[1]}'), "default")
    assert found.format is not None
    assert found.format.schema == Raw(b'{"type": "object"}')


@pytest.mark.parametrize(
    "fields",
    [
        {"container": None, "mcp_servers": [], "speed": "standard", "fallbacks": None, "inference_geo": None},
        {"context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]}},
        {"context_management": None, "diagnostics": {"previous_message_id": "msg_1"}},
        {"fallbacks": ["other"], "output_config": {"task_budget": None}},
    ],
)
def test_defaults_and_fields_of_the_gateway_are_not_listed(fields: dict[str, Any]) -> None:
    assert read(**fields).rest == {}


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"inference_geo": "us"}, "inference_geo"),
        ({"speed": "fast"}, "speed"),
        ({"fallbacks": "default"}, "fallbacks"),
        ({"fallbacks": [{"model": "x"}]}, "fallbacks"),
        ({"context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]}}, "context_management"),
        ({"context_management": 1}, "context_management"),
        ({"output_config": {"task_budget": {"total": 1}}}, "output_config.task_budget"),
        ({"thinking": {"type": "between_tools"}}, "thinking of type between_tools"),
    ],
)
def test_field_of_this_dialect_alone_is_listed(fields: dict[str, Any], name: str) -> None:
    assert list(read(**fields).rest) == [name]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": 1}]}]}, "messages[0].content[0].text"),
        ({"messages": [{"role": "user", "content": [{"text": "x"}]}]}, "messages[0].content[0]"),
        ({"messages": [{"role": "user", "content": [{"type": "image"}]}]}, "messages[0].content[0].source"),
        ({"messages": [{"role": "user", "content": [{"type": "document"}]}]}, "messages[0].content[0].source"),
        (
            {"messages": [{"role": "assistant", "content": [{"type": "tool_use", "input": "x"}]}]},
            "messages[0].content[0].input",
        ),
        ({"system": [{"type": "thinking", "thinking": "x"}]}, "system"),
        ({"tool_choice": {"type": "some"}}, "tool_choice.type"),
        ({"tools": [{"name": 1}]}, "tools[0].name"),
        ({"output_config": {"effort": "huge"}}, "output_config.effort"),
        ({"output_config": {"format": {"type": "text", "schema": {}}}}, "output_config.format.type"),
        ({"metadata": {"user_id": 1}}, "metadata.user_id"),
    ],
)
def test_wrong_shape_is_rejected_with_its_place(fields: dict[str, Any], param: str) -> None:
    failure = rejected(lambda: read(**fields))
    assert (failure.kind.status, failure.param) == (400, param)


def test_recorded_requests_can_be_read() -> None:
    for item in recorded("api.anthropic.com/v1/messages"):
        counts = "count_tokens" in item.uri
        found = read_request(message_call(item.request, counts=counts))
        assert found.turns
        assert found.max_tokens is None if counts else found.max_tokens
