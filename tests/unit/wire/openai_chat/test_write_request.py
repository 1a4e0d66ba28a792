"""Conversations as chat completions. Everything that the dialect can express comes back when it is read again."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw
from msgspec.structs import replace

from fakes.wire import parse
from pointsman.domain.conversations import (
    AnswerFormat,
    Audio,
    CacheMark,
    Conversation,
    DocumentPart,
    Effort,
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
from pointsman.wire.dialects import anthropic, openai_responses
from pointsman.wire.json_object import encode_object
from pointsman.wire.openai_chat import HALVES, WITH_CACHE_MARKS
from pointsman.wire.openai_chat.write_request import MAX_ID, call_id, write_request


def conversation(*turns: Turn, **fields: Any) -> Conversation:
    return Conversation(**{"origin": "anthropic", "turns": turns, **fields})


def body(written: Written) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(encode_object(written.fields))
    return found


def messages(*turns: Turn, **fields: Any) -> Any:
    return body(write_request(conversation(*turns, **fields), False))["messages"]


WORDS = st.text('abc äé\n"\\😀', min_size=1, max_size=8)
NAMES = st.text("abc_", min_size=1, max_size=8)
DATA = st.text("QRST", min_size=4, max_size=8)
MARKS = st.sampled_from([None, CacheMark(), CacheMark("1h")])
TEXTS = st.builds(Text, WORDS, MARKS)
IMAGES = st.one_of(
    st.builds(
        lambda path, detail: Image(url=f"https://a.test/{path}", detail=detail), NAMES, st.sampled_from(["", "low"])
    ),
    st.builds(lambda data, mark: Image(data=data, media_type="image/png", cache=mark), DATA, MARKS),
)
FILES = st.builds(lambda data, name: DocumentPart(data=data, media_type="application/pdf", name=name), DATA, NAMES)
USER_PARTS = st.one_of(TEXTS, IMAGES, FILES, st.builds(Audio, DATA, st.sampled_from(["wav", "mp3"])))
OWN = "openai-chat"
REASONING = st.one_of(
    st.builds(lambda text, sign: Reasoning(text, f"text:some-v1:id:{sign}", origin=OWN, id="id"), WORDS, NAMES),
    st.builds(lambda text: Reasoning(text, "summary:openai-responses-v1::", origin=OWN), WORDS),
    st.builds(lambda data: Reasoning(redacted=f"encrypted:some-v1:rs_1:{data}", origin=OWN, id="rs_1"), NAMES),
)
USER = st.builds(lambda parts, name: Turn("user", tuple(parts), name), st.lists(USER_PARTS, min_size=1), NAMES)
SYSTEM = st.builds(lambda text: Turn("system", (text,)), TEXTS)


@st.composite
def exchanges(draw: st.DrawFn) -> list[Turn]:
    """Draw a turn of the assistant, and the results of its calls."""
    calls = [
        ToolCall(f"call_{number}_{draw(NAMES)}", draw(NAMES), draw(WORDS) + "x", draw(st.booleans()))
        for number in range(draw(st.integers(0, 3)))
    ]
    parts: list[Part] = [*draw(st.lists(REASONING, max_size=2)), *draw(st.lists(TEXTS, min_size=1, max_size=1))]
    parts += draw(st.sampled_from([[], [Refusal("no")]]))
    results = [
        ToolResult(call.id, tuple(draw(st.lists(TEXTS, max_size=1))), is_custom=call.is_custom, cache=draw(MARKS))
        for call in calls
    ]
    turns = [Turn("assistant", (*parts, *calls))]
    return [*turns, Turn("user", tuple(results))] if results else turns


TOOLS = st.lists(
    st.one_of(
        st.builds(Tool, NAMES, WORDS, st.just(Raw(b'{"type":"object"}')), st.sampled_from([None, True]), cache=MARKS),
        st.builds(lambda name: Tool(name, is_custom=True, syntax="lark", grammar="start: A"), NAMES),
    ),
    min_size=1,
    max_size=3,
    unique_by=lambda tool: tool.name,
)
EFFORTS: st.SearchStrategy[Effort] = st.sampled_from(["minimal", "low", "medium", "high", "xhigh", "max"])
FLOATS = st.none() | st.floats(0, 1)


@st.composite
def conversations(draw: st.DrawFn) -> Conversation:
    turns = [draw(USER)]
    for _ in range(draw(st.integers(0, 3))):
        turns += draw(st.one_of(exchanges(), USER.map(lambda turn: [turn]), SYSTEM.map(lambda turn: [turn])))
    # Without a tool in between, results that follow each other are one turn.
    tools = tuple(draw(TOOLS)) if draw(st.booleans()) else ()
    choice = ToolChoice()
    if tools:
        parallel = draw(st.sampled_from([None, True, False]))
        choices = [ToolChoice(), ToolChoice("auto"), ToolChoice("none"), ToolChoice("required")]
        choice = replace(
            draw(st.sampled_from([*choices, ToolChoice("named", tools[0].name)])),
            parallel=parallel,
        )
    return Conversation(
        origin=OWN,
        system=tuple(draw(st.lists(TEXTS, max_size=1))),
        turns=tuple(turns),
        tools=tools,
        tool_choice=choice,
        sampling=Sampling(
            draw(FLOATS),
            draw(FLOATS),
            None,
            tuple(draw(st.lists(WORDS, max_size=2))),
            draw(FLOATS),
            draw(FLOATS),
            draw(st.none() | st.integers(0, 9)),
            1,
            draw(st.booleans()),
            draw(st.none() | st.integers(0, 9)),
        ),
        max_tokens=draw(st.none() | st.integers(1, 99)),
        format=draw(st.sampled_from([None, AnswerFormat(), AnswerFormat(Raw(b'{"a":1}'), "n", "d", True)])),
        thinking=draw(st.one_of(st.just(Thinking()), EFFORTS.map(lambda effort: Thinking(True, effort)))),
        verbosity=draw(st.sampled_from(["", "low"])),
        user=draw(st.sampled_from(["", "u"])),
        metadata=draw(st.sampled_from([None, Raw(b'{"a":"b"}')])),
        service_tier=draw(st.sampled_from(["", "flex"])),
        prompt_cache_key=draw(st.sampled_from(["", "k"])),
        rest=draw(st.sampled_from([{}, {"store": Raw(b"true")}])),
    )


def plain(found: Conversation) -> Conversation:
    """Return a conversation without what a plain writer leaves out or joins: its marks, and the borders of texts."""

    def without(part: Part) -> Part:
        if isinstance(part, ToolResult):
            return replace(part, cache=None, parts=tuple(replace(inner, cache=None) for inner in part.parts))
        return replace(part, cache=None) if hasattr(part, "cache") else part

    def joined(parts: tuple[Part, ...]) -> tuple[Part, ...]:
        cleared = tuple(map(without, parts))
        texts = [part.text for part in cleared if isinstance(part, Text)]
        return (Text("\n\n".join(texts)),) if len(texts) == len(cleared) else cleared

    return replace(
        found,
        system=tuple(replace(text, cache=None) for text in found.system),
        turns=tuple(replace(turn, parts=joined(turn.parts)) for turn in found.turns),
        tools=tuple(replace(tool, cache=None) for tool in found.tools),
    )


def read_again(written: Written) -> Conversation:
    assert not written.cannot
    return HALVES.read_request(parse(encode_object({"model": Raw(b'"m"'), **written.fields})))


def without_text_marks_of_one(found: Conversation) -> Conversation:
    """Join the texts of turns that have only texts and no mark, as the writer does."""
    turns = []
    for turn in found.turns:
        texts = [part for part in turn.parts if isinstance(part, Text)]
        is_plain = len(texts) == len(turn.parts) and not any(text.cache for text in texts)
        turns.append(replace(turn, parts=(Text("\n\n".join(text.text for text in texts)),)) if is_plain else turn)
    return replace(found, turns=tuple(turns))


@settings(max_examples=150)
@given(conversations(), st.booleans())
def test_conversation_with_its_marks_survives_writing_and_reading(found: Conversation, streamed: bool) -> None:
    written = WITH_CACHE_MARKS.write_request(found, streamed)
    assert read_again(written) == without_text_marks_of_one(found)
    assert ("stream" in written.fields) == streamed


@settings(max_examples=60)
@given(conversations())
def test_conversation_without_marks_survives_writing_and_reading(found: Conversation) -> None:
    assert read_again(HALVES.write_request(found, False)) == plain(found)


def test_results_come_before_other_parts_of_their_turn() -> None:
    found = messages(Turn("user", (Text("and?"), ToolResult("a", (Text("1"),)), ToolResult("b", (Text("2"),)))))
    assert [one["role"] for one in found] == ["tool", "tool", "user"]
    assert found[2]["content"] == "and?"


def test_media_in_a_result_follow_in_a_message_of_the_user() -> None:
    image = Image(data="QQ==", media_type="image/png")
    found = messages(Turn("user", (ToolResult("a", (image,)), ToolResult("b", (Text("2"),)))))
    assert [one["role"] for one in found] == ["tool", "tool", "user"]
    assert found[0]["content"] == "The result is in the next message of the user."
    assert found[2]["content"] == [
        {"type": "text", "text": "Files in the result of the tool call a:"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,QQ=="}},
    ]


def test_failure_of_a_tool_is_told_once() -> None:
    bad = messages(Turn("user", (ToolResult("a", (Text("not found"),), is_error=True),)))
    assert bad[0]["content"] == "Error:\n\nnot found"
    told = messages(Turn("user", (ToolResult("a", (Text("Error 404"),), is_error=True),)))
    assert told[0]["content"] == "Error 404"
    assert messages(Turn("user", (ToolResult("a", is_error=True),)))[0]["content"] == "Error:"
    assert messages(Turn("user", (ToolResult("a"),)))[0]["content"] == ""


def test_text_documents_become_texts() -> None:
    found = messages(Turn("user", (Text("read"), DocumentPart(text="abc", name="a.txt"))))
    assert found[0]["content"] == "read\n\na.txt\n\nabc"


def test_reasoning_goes_back_to_its_author_only() -> None:
    found = messages(
        Turn(
            "assistant",
            (
                Reasoning("theirs", "SIG", origin="anthropic"),
                Reasoning("own", "reasoning_content:::", origin=OWN),
                Reasoning("short", "reasoning:::", origin=OWN),
                Reasoning("parts", "thinking:::", origin=OWN),
                Text("x"),
            ),
        ),
        Turn("assistant", (Reasoning("theirs", "SIG", origin="anthropic"),)),
    )
    assert found == [{"role": "assistant", "content": "x", "reasoning_content": "own", "reasoning": "short"}]


def test_texts_of_an_answer_join_without_a_gap() -> None:
    assert messages(Turn("assistant", (Text("a"), ToolCall("i", "f", ""), Text("b")))) == [
        {
            "role": "assistant",
            "content": "ab",
            "tool_calls": [{"id": "i", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
        }
    ]


def test_inexpressible_parts_are_named() -> None:
    found = conversation(
        Turn("user", (DocumentPart(url="https://a.test/b.pdf"),)),
        Turn("assistant", (Image(url="https://a.test/b.png"),)),
        sampling=Sampling(top_k=5, choices=2, seed=1),
        metadata=Raw(b"{}"),
        rest={"container": Raw(b'"x"')},
    )
    written = write_request(found, False)
    assert written.cannot == (
        "a document by its URL",
        "a part of type image in a turn of the assistant",
        "top_k",
        "n above 1",
        "container",
    )
    assert written.dropped == ("metadata",)
    assert "metadata" not in written.fields


def test_choice_and_parallel_calls_need_tools() -> None:
    found = body(write_request(conversation(tool_choice=ToolChoice("auto", parallel=False)), False))
    assert found == {"messages": []}


@pytest.mark.parametrize(
    ("thinking", "expected"),
    [
        (Thinking(True, None, 1_000), "low"),
        (Thinking(True, None, 9_000), "high"),
        (Thinking(False), "none"),
        (Thinking(True), None),
    ],
)
def test_budget_of_reasoning_becomes_an_effort(thinking: Thinking, expected: str | None) -> None:
    assert body(write_request(conversation(thinking=thinking), False)).get("reasoning_effort") == expected


def test_streamed_request_asks_for_usage() -> None:
    found = body(write_request(conversation(service_tier="standard_only", max_tokens=3), True))
    assert found["stream_options"] == {"include_usage": True}
    assert (found["stream"], found["service_tier"], found["max_completion_tokens"]) == (True, "default", 3)


def test_schema_without_a_name_gets_one() -> None:
    found = body(write_request(conversation(format=AnswerFormat(Raw(b"{}"))), False))
    assert found["response_format"] == {"type": "json_schema", "json_schema": {"name": "answer", "schema": {}}}


def test_long_ids_are_rewritten_alike_in_call_and_result() -> None:
    long = "t" * (MAX_ID + 1)
    found = messages(Turn("assistant", (ToolCall(long, "f", "{}"),)), Turn("user", (ToolResult(long),)))
    assert found[0]["tool_calls"][0]["id"] == found[1]["tool_call_id"] == call_id(long)
    assert len(call_id(long)) <= MAX_ID
    assert call_id("t" * MAX_ID) == "t" * MAX_ID
    assert call_id("") != ""


SUMMARY = {"type": "reasoning.summary", "summary": "hm", "format": "openai-responses-v1", "index": 0}
ENCRYPTED = {"type": "reasoning.encrypted", "data": "E", "id": "rs_1", "format": "openai-responses-v1", "index": 1}
SIGNED = {"type": "reasoning.text", "text": "hm", "signature": "S", "format": "anthropic-claude-v1", "index": 0}


@pytest.mark.parametrize(
    "reasoning",
    [
        {"reasoning_content": "hm"},
        {"reasoning": "hm"},
        {"reasoning_details": [SIGNED]},
        {"reasoning_details": [SUMMARY, ENCRYPTED]},
    ],
)
@pytest.mark.parametrize("dialect", ["anthropic", "responses"])
def test_reasoning_comes_back_from_clients_of_other_dialects(reasoning: dict[str, Any], dialect: str) -> None:
    choice = {"message": {"role": "assistant", "content": "x", **reasoning}, "finish_reason": "stop"}
    pieces = HALVES.read_answer(encode_object({"id": "c1", "choices": [choice]}))
    client = parse({"model": "m", "messages": [{"role": "user", "content": "hello"}]})
    if dialect == "anthropic":
        answer = msgspec.json.decode(anthropic.HALVES.write_answer(client, 0.0, pieces))
        turns = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": answer["content"]}]
        fields = {"messages": Raw(encode_object(turns)), "max_tokens": Raw(b"9")}
        found = anthropic.HALVES.read_request(replace(client, fields=fields))
    else:
        answer = msgspec.json.decode(openai_responses.HALVES.write_answer(client, 0.0, pieces))
        items = [{"role": "user", "content": "hello"}, *answer["output"]]
        found = openai_responses.HALVES.read_request(replace(client, fields={"input": Raw(encode_object(items))}))
    assert body(HALVES.write_request(found, False))["messages"][1] == choice["message"]


@pytest.mark.parametrize("media_type", ["video/mp4", "audio/ogg"])
@pytest.mark.parametrize("write", [write_request, openai_responses.HALVES.write_request])
def test_file_that_is_no_document_cannot_be_written(media_type: str, write: Any) -> None:
    turn = Turn("user", (DocumentPart(data="QUJD", media_type=media_type),))
    assert write(conversation(turn), False).cannot == (f"a document of type {media_type}",)


def test_more_stop_texts_than_the_api_takes_cannot_be_written() -> None:
    turn, stop = Turn("user", (Text("a"),)), tuple("abcde")
    assert write_request(conversation(turn, sampling=Sampling(stop=stop)), False).cannot == (
        "more than 4 texts in stop",
    )
    assert not write_request(conversation(turn, sampling=Sampling(stop=stop[:4])), False).cannot
