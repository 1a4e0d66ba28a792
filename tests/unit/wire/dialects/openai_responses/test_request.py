"""Requests of OpenAI's Responses API are read and written without loss."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw
from msgspec.structs import replace
from openai.types.responses.response_create_params import ResponseCreateParamsNonStreaming
from pydantic import TypeAdapter

from fakes.wire import parse, rejected
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
)
from pointsman.domain.failures import Rejection
from pointsman.wire.dialects.openai_responses.request import read_request, write_request
from pointsman.wire.json_object import encode_object

NAME = "openai-responses"
PNG = "iVBORw0KGgo="
SCHEMA = Raw(b'{"type":"object","properties":{}}')


def read(**fields: Any) -> Conversation:
    return read_request(parse({"model": "m", "input": "hello", **fields}, "/responses"))


def written(conversation: Conversation, *, is_streamed: bool = False) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(encode_object(write_request(conversation, is_streamed).fields))
    return fields


def of(*turns: Turn, origin: str = "anthropic", **more: Any) -> Conversation:
    return Conversation(origin=origin, turns=turns, **more)


def user(*parts: Part) -> Turn:
    return Turn("user", parts)


_WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
_NAMES = st.text("abc_", min_size=1, max_size=8)
_BASE64 = st.binary(min_size=1, max_size=9).map(lambda data: base64.b64encode(data).decode())
_TEXTS = st.builds(Text, _WORDS)
_IMAGES = st.builds(Image, url=st.just("https://x.test/a.png"), detail=st.sampled_from(["", "low"])) | st.builds(
    Image, data=_BASE64, media_type=st.just("image/png")
)
_DOCUMENTS = (
    st.builds(DocumentPart, url=st.just("https://x.test/a.pdf"))
    | st.builds(DocumentPart, data=_BASE64, media_type=st.just("application/pdf"), name=st.just("a.pdf"))
    | st.builds(DocumentPart, text=_WORDS, media_type=st.sampled_from(["text/plain", "text/csv"]), name=st.just("a.b"))
)
_CALLS = st.builds(ToolCall, _NAMES, _NAMES, _WORDS, st.booleans())
_RESULTS = st.builds(ToolResult, _NAMES, st.lists(_TEXTS | _IMAGES | _DOCUMENTS, max_size=2).map(tuple))
_OWN = st.builds(Reasoning, _WORDS, _NAMES, origin=st.just(NAME), id=_NAMES)
_TURNS = st.lists(
    st.builds(Turn, st.just("user"), st.lists(_TEXTS | _IMAGES | _DOCUMENTS, min_size=1, max_size=3).map(tuple)),
    min_size=1,
    max_size=2,
)
_ASSISTANT = st.lists(_TEXTS | _CALLS | _OWN | st.builds(Refusal, _WORDS), min_size=1, max_size=4).map(
    lambda parts: [Turn("assistant", tuple(parts))]
)
_RETURNED = st.lists(_RESULTS, min_size=1, max_size=3).map(lambda parts: [Turn("user", tuple(parts))])
_SYSTEM = st.builds(Turn, st.just("system"), st.lists(_TEXTS, min_size=1, max_size=2).map(tuple)).map(
    lambda turn: [turn]
)


@st.composite
def _turns(draw: st.DrawFn) -> tuple[Turn, ...]:
    """Draw turns in the form in which they are read: no assistant follows another, and no results follow others."""
    turns = draw(_TURNS)
    for _ in range(draw(st.integers(0, 3))):
        turns += draw(_ASSISTANT) + draw(st.one_of(_RETURNED, _TURNS, _SYSTEM))
    return tuple(turns)


_TOOLS = st.lists(
    st.builds(
        Tool,
        _NAMES,
        st.sampled_from(["", "a tool"]),
        st.sampled_from([SCHEMA, None]),
        st.sampled_from([None, True, False]),
    )
    | st.builds(Tool, _NAMES, st.just("any text"), is_custom=st.just(value=True))
    | st.builds(Tool, _NAMES, is_custom=st.just(value=True), syntax=st.just("lark"), grammar=_WORDS),
    max_size=3,
).map(tuple)
_CHOICES = st.builds(
    ToolChoice, st.sampled_from([None, "auto", "none", "required"]), parallel=st.sampled_from([None, True, False])
) | st.builds(ToolChoice, st.just("named"), _NAMES)
_SAMPLING = st.builds(
    Sampling, temperature=st.sampled_from([None, 0.0, 0.5]), top_p=st.sampled_from([None, 0.9])
) | st.builds(Sampling, logprobs=st.just(value=True), top_logprobs=st.sampled_from([None, 2]))
_FORMATS = st.sampled_from(
    [None, AnswerFormat(), AnswerFormat(SCHEMA, "answer"), AnswerFormat(SCHEMA, "x", "an x", strict=True)]
)
_THINKING = st.sampled_from(
    [
        Thinking(),
        Thinking(is_on=True, effort="low"),
        Thinking(is_on=False, effort="none"),
        Thinking(is_on=True, effort="max", summary="detailed"),
    ]
)


@st.composite
def _conversations(draw: st.DrawFn) -> Conversation:
    return Conversation(
        origin=NAME,
        system=tuple(draw(st.lists(_TEXTS, max_size=3))),
        turns=draw(_turns()),
        tools=draw(_TOOLS),
        tool_choice=draw(_CHOICES),
        sampling=draw(_SAMPLING),
        max_tokens=draw(st.sampled_from([None, 100])),
        format=draw(_FORMATS),
        thinking=draw(_THINKING),
        verbosity=draw(st.sampled_from(["", "low", "high"])),
        user=draw(st.sampled_from(["", "u"])),
        metadata=draw(st.sampled_from([None, Raw(b'{"a":"b"}')])),
        service_tier=draw(st.sampled_from(["", "flex"])),
        prompt_cache_key=draw(st.sampled_from(["", "k"])),
    )


@given(_conversations(), st.booleans())
def test_written_conversation_is_read_again(conversation: Conversation, is_streamed: bool) -> None:
    request = write_request(conversation, is_streamed)
    assert request.cannot == request.dropped == ()
    call = parse(encode_object({"model": Raw(b'"m"'), **request.fields}), "/responses")
    assert call.stream == is_streamed
    assert read_request(call) == conversation


def test_written_body_is_one_of_the_official_sdk() -> None:
    file = DocumentPart(data=PNG, media_type="application/pdf", name="a.pdf")
    called = (Reasoning("t", "sig", origin=NAME, id="rs_1"), ToolCall("c", "f", "{}"), ToolCall("d", "g", "x", True))
    conversation = Conversation(
        origin=NAME,
        system=(Text("one"), Text("two")),
        turns=(
            user(Text("a"), Image(url="https://x.test/a.png"), file, DocumentPart(url="https://x.test/a.pdf")),
            Turn("assistant", (*called, Text("b"))),
            user(ToolResult("c", (Text("1"), file)), ToolResult("d", (Text("2"),), is_custom=True)),
        ),
        tools=(Tool("f", "an f", SCHEMA, strict=True), Tool("g", is_custom=True)),
        tool_choice=ToolChoice("named", "g", parallel=False),
        sampling=Sampling(temperature=0.5, top_p=0.9, logprobs=True, top_logprobs=2),
        max_tokens=100,
        format=AnswerFormat(SCHEMA, "x", "an x", strict=True),
        thinking=Thinking(is_on=True, effort="low", summary="concise"),
        verbosity="low",
    )
    TypeAdapter(ResponseCreateParamsNonStreaming).validate_python({"model": "m", **written(conversation)})


def test_text_is_a_turn_and_instructions_come_first() -> None:
    found = read(instructions="be brief", max_output_tokens=7, store=False, background=False, truncation="disabled")
    assert found == Conversation(
        origin=NAME, system=(Text("be brief"),), turns=(Turn("user", (Text("hello"),)),), max_tokens=7
    )


def test_bound_is_that_of_the_call() -> None:
    call = parse({"model": "m", "input": "x", "max_output_tokens": 700}, "/responses")
    assert read_request(replace(call, max_tokens=30)).max_tokens == 30


def test_items_become_turns() -> None:
    found = read(
        instructions="one",
        input=[
            {"role": "developer", "content": "two"},
            {"type": "message", "role": "system", "content": [{"type": "input_text", "text": "three"}]},
            {
                "role": "user",
                "content": [{"type": "input_text", "text": "a", "prompt_cache_breakpoint": {"ttl": "30m"}}],
            },
            {"type": "reasoning", "id": "rs_1", "summary": [{"text": "x"}, {"text": "y"}], "encrypted_content": "e"},
            {"type": "message", "id": "msg", "role": "assistant", "content": [{"type": "output_text", "text": "b"}]},
            {"type": "function_call", "id": "fc", "call_id": "c1", "name": "f", "arguments": "{}", "status": None},
            {"type": "custom_tool_call", "call_id": "c2", "name": "g", "input": "raw"},
            {"type": "function_call_output", "call_id": "c1", "output": "done"},
            {
                "type": "custom_tool_call_output",
                "call_id": "c2",
                "output": [{"type": "input_image", "image_url": f"data:image/png;base64,{PNG}"}],
            },
            {"role": "developer", "content": "four"},
            {"role": "user", "content": "c"},
        ],
    )
    assert found.rest == {}
    assert found.system == (Text("one"), Text("two"), Text("three"))
    assert found.turns == (
        Turn("user", (Text("a", CacheMark("30m")),)),
        Turn(
            "assistant",
            (
                Reasoning("x\n\ny", "e", origin=NAME, id="rs_1"),
                Text("b"),
                ToolCall("c1", "f", "{}"),
                ToolCall("c2", "g", "raw", is_custom=True),
            ),
        ),
        Turn(
            "user",
            (
                ToolResult("c1", (Text("done"),)),
                ToolResult("c2", (Image(data=PNG, media_type="image/png"),), is_custom=True),
            ),
        ),
        Turn("system", (Text("four"),)),
        Turn("user", (Text("c"),)),
    )


def test_reasoning_of_another_author_keeps_its_origin() -> None:
    shown = [
        {"type": "reasoning", "id": "rs_x", "summary": [{"text": "t"}], "encrypted_content": "pm.anthropic.sig"},
        {"type": "reasoning", "id": "rs_y", "summary": [], "encrypted_content": "pm.anthropic.redacted:data"},
    ]
    parts = (Reasoning("t", "sig", origin="anthropic"), Reasoning(redacted="data", origin="anthropic"))
    found = read(input=shown)
    assert found.turns == (Turn("assistant", parts),)
    assert written(found)["input"] == []


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"tools": [{"type": "web_search"}]}, "tools[0] of type web_search"),
        ({"tools": [{"type": "function", "name": "f", "defer_loading": True}]}, "tools[0].defer_loading"),
        ({"tools": [{"type": "custom", "name": "f", "format": {"type": "new"}}]}, "tools[0].format"),
        ({"tool_choice": {"type": "file_search"}}, "tool_choice of type file_search"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input[0] of type item_reference"),
        ({"input": [{"id": "x"}]}, "input[0] of type item_reference"),
        ({"input": [{"type": "mcp_call", "name": 1}]}, "input[0] of type mcp_call"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}]},
            "input[0].content[0].file_id",
        ),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]},
            "input[0].content[0].file_id",
        ),
        ({"input": [{"role": "user", "content": [{"type": "video"}]}]}, "input[0].content[0] of type video"),
        ({"store": True}, "store"),
        ({"background": True}, "background"),
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"prompt": {"id": "p"}}, "prompt"),
        ({"truncation": "auto"}, "truncation"),
        ({"include": ["anything.new"]}, "'anything.new' in include"),
        ({"reasoning": {"effort": "low", "context": "all_turns"}}, "reasoning.context"),
        ({"text": {"new": 1}}, "text.new"),
        ({"something": [1]}, "something"),
    ],
)
def test_inexpressible_field_is_named(fields: dict[str, Any], expected: str) -> None:
    found = read(**fields)
    assert list(found.rest) == [expected]
    assert write_request(replace(found, origin="other"), False).cannot == (expected,)


def test_own_fields_go_to_a_provider_of_this_dialect() -> None:
    found = read(truncation="auto", tools=[{"type": "web_search"}])
    request = write_request(found, is_streamed=False)
    assert request.fields["truncation"] == Raw(b'"auto"')
    assert request.cannot == ("tools[0] of type web_search",)


def test_defaults_ask_for_nothing() -> None:
    found = read(
        store=None,
        include=["reasoning.encrypted_content", "web_search_call.action.sources"],
        max_tool_calls=3,
        stream_options={"include_obfuscation": False},
        service_tier="auto",
        metadata={},
        top_logprobs=2,  # shown only if they are included
        text={"format": {"type": "text"}, "verbosity": "medium"},
        reasoning={"effort": None, "context": "auto"},
        tools=[],
        prompt_cache_retention="in_memory",
    )
    assert found == Conversation(origin=NAME, turns=(user(Text("hello")),))


def test_request_of_a_coding_agent_is_read_in_full() -> None:
    """The fields are those of Codex: https://github.com/openai/codex (`ResponsesApiRequest`)."""
    found = read(
        instructions="You code.",
        input=[
            {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "rules"}]},
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "go"}]},
            {"type": "reasoning", "summary": [], "content": None, "encrypted_content": "pm.anthropic.s"},
            {"type": "custom_tool_call", "status": "completed", "call_id": "c", "name": "apply_patch", "input": "x"},
            {"type": "custom_tool_call_output", "call_id": "c", "output": "ok"},
        ],
        tools=[
            {"type": "function", "name": "shell", "description": "d", "strict": False, "parameters": {}},
            {
                "type": "custom",
                "name": "apply_patch",
                "description": "p",
                "format": {"type": "grammar", "syntax": "lark", "definition": "start: x"},
            },
        ],
        tool_choice="auto",
        parallel_tool_calls=True,
        reasoning={"effort": "medium", "summary": "auto"},
        store=False,
        stream=True,
        include=["reasoning.encrypted_content"],
        prompt_cache_key="k",
        text={"verbosity": "low"},
        client_metadata={"x": "y"},
    )
    assert found.rest == {}
    assert found.tools[1] == Tool("apply_patch", "p", is_custom=True, syntax="lark", grammar="start: x")
    assert [turn.role for turn in found.turns] == ["user", "assistant", "user"]


def test_allowed_tools_are_the_only_ones() -> None:
    tools = [{"type": "function", "name": name, "parameters": {}} for name in "abc"]
    choice = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "b"}]}
    found = read(tools=tools, tool_choice=choice)
    assert found.tools == (Tool("b", schema=Raw(b"{}")),)
    assert found.tool_choice == ToolChoice("required")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": None}, "input"),
        ({"input": [{"role": "tool", "content": "x"}]}, "input[0].role"),
        ({"input": [{"type": "function_call", "call_id": "c", "name": "f"}]}, "input[0]"),
        ({"input": [{"role": "user", "content": [{"type": "input_text"}]}]}, "input[0].content[0].text"),
        ({"input": [{"role": "user", "content": [{"type": "input_text", "text": 1}]}]}, "input[0].content[0].text"),
        ({"tools": [{"type": "function"}]}, "tools[0]"),
        ({"tool_choice": "sometimes"}, "tool_choice"),
        ({"text": {"format": {"type": "json_schema", "name": "x"}}}, "text.format.schema"),
        ({"reasoning": {"effort": "huge"}}, "reasoning.effort"),
    ],
)
def test_wrong_shape_is_rejected(fields: dict[str, Any], param: str) -> None:
    failure = rejected(lambda: read(**fields))
    assert failure.param == param
    assert param in failure.message


_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from(["", "x", "message", "user", "function", "data:"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "type",
                    "role",
                    "content",
                    "text",
                    "output",
                    "call_id",
                    "name",
                    "format",
                    "schema",
                    "image_url",
                    "tools",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(
    st.sampled_from(
        ["input", "tools", "tool_choice", "text", "reasoning", "include", "metadata", "instructions", "new"]
    ),
    _JSON,
)
def test_any_json_is_read_or_rejected_with_its_field(name: str, value: Any) -> None:
    call = parse({"model": "m", "input": "hello"}, "/responses")
    call = replace(call, fields={**call.fields, name: Raw(json.dumps(value).encode())})
    param: str | None = name
    try:
        write_request(read_request(call), is_streamed=True)
    except Rejection as error:
        param = error.failure.param
    assert (param or "").startswith(name)


def test_foreign_tools_stay_lenient() -> None:
    tools = (Tool("f", schema=SCHEMA), Tool("g", schema=SCHEMA, strict=True))
    sent = written(of(user(Text("x")), tools=tools))["tools"]
    assert [tool["strict"] for tool in sent] == [False, True]


def test_budget_of_another_dialect_becomes_an_effort() -> None:
    sent = written(of(user(Text("x")), thinking=Thinking(is_on=True, budget_tokens=5_000, summary="summarized")))
    assert sent["reasoning"] == {"effort": "medium", "summary": "auto"}
    assert sent["include"] == ["reasoning.encrypted_content"]
    assert sent["store"] is False


def test_inexpressible_settings_are_named() -> None:
    sampling = Sampling(top_k=3, stop=("x",), presence_penalty=0.5, seed=7, choices=2)
    request = write_request(of(Turn("user", (Text("x"),), name="ann"), sampling=sampling), is_streamed=True)
    assert request.cannot == ("stop_sequences", "n above 1", "top_k", "presence_penalty", "the `name` of a message")
    assert request.dropped == ("seed",)
    assert request.fields["stream"] == Raw(b"true")


def test_image_of_an_assistant_is_inexpressible() -> None:
    request = write_request(of(Turn("assistant", (Image(url="https://x.test/a"),))), is_streamed=False)
    assert request.cannot == ("a part of type image in a message of the role assistant",)


def test_long_id_of_a_call_is_shortened_alike_in_both_places() -> None:
    name = "x" * 65
    turns = (Turn("assistant", (ToolCall(name, "f", "{}"),)), user(ToolResult(name, (Text("1"), Text("2")))))
    call, result = written(of(*turns))["input"]
    assert call["call_id"] == result["call_id"]
    assert len(call["call_id"]) <= 64
    assert [part["text"] for part in result["output"]] == ["1", "2"]


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (DocumentPart(data="JVBERi0=", media_type="application/pdf"), "document.pdf"),
        (DocumentPart(data="JVBERi0=", media_type="application/pdf", name="Report"), "Report.pdf"),
        (DocumentPart(text="x", name="a.md"), "a.md"),
        (DocumentPart(text="x"), "document.txt"),
    ],
)
def test_document_has_a_name_that_shows_its_type(document: DocumentPart, expected: str) -> None:
    (item,) = written(of(user(document)))["input"]
    assert item["content"][0]["filename"] == expected


def test_text_in_another_encoding_stays_encoded() -> None:
    part = {"type": "input_file", "filename": "a.txt", "file_data": "data:text/plain;base64,/w=="}
    found = read(input=[{"role": "user", "content": [part]}])
    assert found.turns[0].parts == (DocumentPart(data="/w==", media_type="text/plain", name="a.txt"),)


def test_bare_data_of_a_pdf_file_are_recognized() -> None:
    found = read(input=[{"role": "user", "content": [{"type": "input_file", "file_data": "JVBERi0="}]}])
    assert found.turns[0].parts == (DocumentPart(data="JVBERi0=", media_type="application/pdf"),)


def test_recording_has_no_place_in_the_input() -> None:
    conversation = Conversation(origin="other", turns=(Turn("user", (Audio("AAAA", "wav"),)),))
    assert write_request(conversation, False).cannot == ("a part of type audio in a message of the role user",)


def test_text_of_a_result_says_that_it_is_an_error() -> None:
    image = Image(url="https://x.test/a.png")
    contents: list[tuple[Text | Image, ...]] = [(Text("no file"),), (Text("Error 5"),), (), (image,)]
    results = [ToolResult("c", parts, is_error=True) for parts in contents]
    outputs = [item["output"] for item in written(of(user(*results)))["input"]]
    assert outputs[:3] == ["Error:\n\nno file", "Error 5", "Error:"]
    assert outputs[3][0] == {"type": "input_text", "text": "Error:"}


def test_data_url_is_read_in_any_case() -> None:
    image = {"type": "input_image", "image_url": f"DATA:image/png;Base64,{PNG}"}
    found = read(input=[{"role": "user", "content": [image]}])
    assert found.turns == (Turn("user", (Image(data=PNG, media_type="image/png"),)),)


@pytest.mark.parametrize("value", ["", []])
def test_empty_input_is_named(value: object) -> None:
    failure = rejected(lambda: read(input=value))
    assert (failure.param, failure.message) == ("input", "the field 'input' is required, and must not be empty")
