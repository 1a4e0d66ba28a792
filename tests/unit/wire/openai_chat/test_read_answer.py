"""Answers of servers with OpenAI's chat dialect as pieces, whole and streamed, with the differences between servers."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from pointsman.domain.outcomes import Usage
from pointsman.domain.pieces import (
    AudioPiece,
    CitationPiece,
    Done,
    Failed,
    Finish,
    Piece,
    ReasoningPiece,
    RefusalPiece,
    SignaturePiece,
    Start,
    TextPiece,
    ToolArguments,
    ToolBegin,
    UsagePiece,
)
from pointsman.wire.json_object import UNREADABLE
from pointsman.wire.openai_chat.read_answer import read_answer, reader

OWN = "openai-chat"


def streamed(*events: dict[str, Any] | bytes) -> list[Piece]:
    """Return the pieces of some events. An event that is bytes is data as they are."""
    one = reader()
    pieces: list[Piece] = []
    for event in events:
        data = event if isinstance(event, bytes) else json.dumps(event).encode()
        pieces += one.read(data, b"data: %b\n\n" % data)
    return pieces


def chunk(delta: dict[str, Any] | None = None, reason: str | None = None, **fields: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta or {}, "finish_reason": reason}
    return {"id": "c1", "model": "m1", "choices": [choice], **fields}


def deltas(*found: dict[str, Any], reason: str | None = None) -> list[Piece]:
    """Return the pieces of some deltas, without the start."""
    events = [chunk(delta) for delta in found]
    return streamed(*events, chunk(reason=reason))[1:]


def whole(message: dict[str, Any], reason: str | None = "stop", **fields: Any) -> list[Piece]:
    body = {"id": "c1", "model": "m1", "choices": [{"message": message, "finish_reason": reason}], **fields}
    return list(read_answer(json.dumps(body).encode()))


def part_of_call(**fields: Any) -> dict[str, Any]:
    return {"tool_calls": [fields]}


def test_stream_is_read() -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "prompt_tokens_details": {"cache_write_tokens": 1}}
    assert streamed(
        chunk({"role": "assistant", "content": "", "refusal": None}),
        chunk({"content": "He"}),
        chunk({"content": "llo"}),
        chunk(reason="stop"),
        {"id": "c1", "choices": [], "usage": usage, "service_tier": "flex"},
        b"[DONE]",
        chunk({"content": "late"}),
    ) == [
        Start("c1", "m1"),
        TextPiece("He", begins=True),
        TextPiece("llo"),
        Finish("stop"),
        UsagePiece(Usage(3, 2, tokens_cache_write=1, tier="flex")),
        Done(),
    ]


def test_whole_answer_is_read() -> None:
    calls = [{"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}}]
    assert whole({"role": "assistant", "content": "x", "tool_calls": calls}, usage={"prompt_tokens": 5}) == [
        Start("c1", "m1"),
        TextPiece("x", begins=True),
        ToolBegin(0, "a", "f"),
        ToolArguments(0, '{"x":1}'),
        Finish("tool_calls"),
        UsagePiece(Usage(5, 0)),
        Done(),
    ]


def test_whole_answer_without_a_reason_has_no_finish() -> None:
    assert whole({"content": "x"}, None) == [Start("c1", "m1"), TextPiece("x", begins=True), Done()]


@pytest.mark.parametrize("body", [b"{}", b'{"choices":[]}', b"[]", b"x", b'{"choices":[{"message":{"content":5}}]}'])
def test_unreadable_answers_raise(body: bytes) -> None:
    with pytest.raises(UNREADABLE):
        read_answer(body)


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("model_length", "length"),
        ("content_filter", "content_filter"),
        ("function_call", "tool_calls"),
        ("eos", "stop"),
    ],
)
def test_finish_reasons_are_read(reason: str, expected: str) -> None:
    found = deltas({"content": "x"}, reason=reason)[-1]
    assert isinstance(found, Finish)
    assert found.reason == expected


def test_second_finish_reason_counts_for_nothing() -> None:
    assert streamed(chunk(reason="length"), chunk(reason="stop"))[1:] == [Finish("length")]


def test_refusal_is_the_reason_of_a_stop() -> None:
    assert deltas({"refusal": "I "}, {"refusal": "won't"}, reason="stop") == [
        RefusalPiece("I "),
        RefusalPiece("won't"),
        Finish("refusal"),
    ]


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_plain_reasoning_ends_with_the_name_of_its_field(field: str) -> None:
    assert deltas({field: "h"}, {field: "m", "content": ""}, {field: None, "content": "x"}, reason="stop") == [
        ReasoningPiece("h", begins=True),
        ReasoningPiece("m"),
        SignaturePiece(f"{field}:::", OWN),
        TextPiece("x", begins=True),
        Finish("stop"),
    ]


def test_reasoning_details_are_read_instead_of_the_plain_text() -> None:
    def detail(**fields: object) -> dict[str, Any]:
        return {"reasoning": fields.get("text"), "reasoning_details": [{"index": 0, **fields}]}

    encrypted = {"type": "reasoning.encrypted", "data": "ENC", "id": "rs_1", "format": "openai-responses-v1"}
    summary = {"type": "reasoning.summary", "summary": "short", "format": "openai-responses-v1", "index": 1}
    assert deltas(
        detail(type="reasoning.text", text="", signature="", format="anthropic-claude-v1"),
        detail(type="reasoning.text", text="I ", format="anthropic-claude-v1"),
        detail(type="reasoning.text", text="think", format="anthropic-claude-v1"),
        detail(type="reasoning.text", signature="SIG", format="anthropic-claude-v1"),
        {"reasoning_details": [summary]},
        {"reasoning_details": [encrypted]},
        reason="stop",
    ) == [
        ReasoningPiece("I ", begins=True),
        ReasoningPiece("think"),
        SignaturePiece("text:anthropic-claude-v1::SIG", OWN),
        ReasoningPiece("short", begins=True),
        SignaturePiece("summary:openai-responses-v1::", OWN),
        SignaturePiece("encrypted:openai-responses-v1:rs_1:ENC", OWN, is_redacted=True, id="rs_1"),
        Finish("stop"),
    ]


def test_thinking_parts_are_reasoning() -> None:
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}
    assert whole({"content": [thinking, {"type": "text", "text": "x"}]})[1:-2] == [
        ReasoningPiece("hm", begins=True),
        SignaturePiece("thinking:::", OWN),
        TextPiece("x", begins=True),
    ]


def test_alternating_calls_are_read() -> None:
    assert deltas(
        part_of_call(index=0, id="a", type="function", function={"name": "f", "arguments": ""}),
        part_of_call(index=1, id="b", type="function", function={"name": "g", "arguments": "{"}),
        part_of_call(index=0, function={"arguments": "{}"}),
        part_of_call(index=1, id="b", function={"name": "g", "arguments": "}"}),
        reason="stop",
    ) == [
        ToolBegin(0, "a", "f"),
        ToolBegin(1, "b", "g"),
        ToolArguments(1, "{"),
        ToolArguments(0, "{}"),
        ToolArguments(1, "}"),
        Finish("tool_calls"),
    ]


def test_calls_under_one_index_are_told_apart_by_their_ids() -> None:
    assert deltas(
        part_of_call(index=0, id="a", function={"name": "f", "arguments": "{}"}),
        part_of_call(index=0, id="b", function={"name": "f", "arguments": "{}"}),
    ) == [ToolBegin(0, "a", "f"), ToolArguments(0, "{}"), ToolBegin(1, "b", "f"), ToolArguments(1, "{}")]


def test_calls_without_an_index_are_told_apart_by_ids_and_names() -> None:
    assert deltas(
        part_of_call(id="a", function={"name": "f", "arguments": "{"}),
        part_of_call(function={"arguments": "}"}),
        part_of_call(function={"name": "g", "arguments": {"x": 1}}),
        part_of_call(id="a", function={"arguments": " "}),
    ) == [
        ToolBegin(0, "a", "f"),
        ToolArguments(0, "{"),
        ToolArguments(0, "}"),
        ToolBegin(1, "call_c1_1", "g"),
        ToolArguments(1, '{"x": 1}'),
        ToolArguments(0, " "),
    ]


def test_arguments_wait_for_the_name() -> None:
    assert deltas(
        part_of_call(index=0, id="a", function={"arguments": "{"}),
        part_of_call(index=0, function={"name": "f", "arguments": "}"}),
    ) == [ToolBegin(0, "a", "f"), ToolArguments(0, "{}")]


def test_custom_tools_and_older_functions_are_read() -> None:
    assert deltas(
        part_of_call(index=0, id="a", type="custom", custom={"name": "sh", "input": "l"}),
        part_of_call(index=0, custom={"input": "s"}),
    ) == [ToolBegin(0, "a", "sh", is_custom=True), ToolArguments(0, "l"), ToolArguments(0, "s")]
    assert deltas(
        {"function_call": {"name": "f", "arguments": ""}},
        {"function_call": {"arguments": "{}"}},
        reason="function_call",
    ) == [ToolBegin(0, "call_c1_0", "f"), ToolArguments(0, "{}"), Finish("tool_calls")]


def test_empty_fields_beside_a_call_are_not_read() -> None:
    empty = {"function_call": {"name": "", "arguments": ""}, "audio": {"id": "", "data": "", "expires_at": 0}}
    call = {"id": "t1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
    both = {**call, "custom": {"name": "", "input": ""}}
    assert whole({"content": "4", **empty}) == whole({"content": "4"})
    assert whole({**empty, "tool_calls": [both]}, "tool_calls") == whole({"tool_calls": [call]}, "tool_calls")
    rest = {"index": 0, "function": {"arguments": "{}"}}
    begin = {**rest, "id": "t1", "function": {"name": "f", "arguments": ""}}
    more = [{**one, "custom": {"name": "", "input": ""}} for one in (begin, rest)]
    assert deltas(*({"tool_calls": [one]} for one in more)) == deltas(*({"tool_calls": [one]} for one in (begin, rest)))


def test_citations_audio_and_log_probabilities_are_read() -> None:
    page = {"type": "url_citation", "url_citation": {"url": "u", "title": "t", "start_index": 1, "end_index": 2}}
    other = {"type": "file_citation"}
    message = {"content": "x", "annotations": [page, other], "audio": {"id": "a"}}
    tokens = [{"token": "x", "logprob": -0.5, "bytes": None, "top_logprobs": []}]
    choice = {"message": message, "finish_reason": "stop", "logprobs": {"content": tokens, "refusal": None}}
    found = read_answer(json.dumps({"choices": [choice]}).encode())
    assert list(found[1:-2]) == [
        TextPiece("x", True, Raw(json.dumps(tokens).encode())),
        CitationPiece(Raw(json.dumps(page).encode()), OWN, "u", "t", 1, 2),
        CitationPiece(Raw(json.dumps(other).encode()), OWN),
        AudioPiece(Raw(b'{"id": "a"}')),
    ]


def test_other_choices_are_not_read() -> None:
    second = {"index": 1, "delta": {"content": "no"}, "finish_reason": "length"}
    assert streamed({"id": "c1", "choices": [second]}) == [Start("c1", "")]


@pytest.mark.parametrize(
    ("event", "error"),
    [
        ({"error": {"message": "x", "code": 502}}, {"error": {"message": "x", "code": 502}}),
        ({"object": "error", "message": "x"}, {"object": "error", "message": "x"}),
        ({"choices": [], "error": "busy"}, {"error": "busy"}),
        ({"choices": [{"error": {"message": "x"}, "finish_reason": "error"}]}, {"error": {"message": "x"}}),
    ],
)
def test_errors_inside_a_stream_are_failures(event: dict[str, Any], error: object) -> None:
    found = streamed(chunk({"content": "x"}), event)[-1]
    assert isinstance(found, Failed)
    assert msgspec.json.decode(found.body) == error


@pytest.mark.parametrize("reason", ["error", "abort", "insufficient_system_resource"])
def test_answers_broken_off_are_failures(reason: str) -> None:
    found = deltas({"content": "x"}, reason=reason)[-1]
    assert isinstance(found, Failed)
    assert msgspec.json.decode(found.body)["error"]["code"] == reason


def test_half_of_a_surrogate_pair_is_read() -> None:
    assert streamed(b'{"choices":[{"delta":{"content":"\\ud83d"}}]}')[1] == TextPiece("\N{REPLACEMENT CHARACTER}", True)


SCALARS = st.none() | st.booleans() | st.integers(-1, 3) | st.sampled_from(["", "x", "stop", "text", "reasoning.text"])
NAMES = st.sampled_from(
    [
        "content",
        "refusal",
        "reasoning",
        "reasoning_content",
        "reasoning_details",
        "tool_calls",
        "function_call",
        "annotations",
        "audio",
        "type",
        "text",
        "thinking",
        "index",
        "id",
        "function",
        "custom",
        "name",
        "arguments",
        "url_citation",
        "signature",
        "data",
        "input",
    ]
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=4), max_leaves=12
)


@settings(max_examples=300)
@given(st.dictionaries(NAMES, VALUES, max_size=5), SCALARS, VALUES, VALUES)
def test_any_answer_is_read_or_unreadable(message: dict[str, Any], reason: object, logprobs: Any, other: Any) -> None:
    choice = {"message": message, "finish_reason": reason, "logprobs": logprobs}
    body = json.dumps({"choices": [choice], "usage": other, "error": None}).encode()
    try:
        found = read_answer(body)
    except UNREADABLE:
        return
    assert isinstance(found[0], Start)
    assert isinstance(found[-1], Done)
    begun = [piece.index for piece in found if isinstance(piece, ToolBegin)]
    assert begun == sorted(set(begun))
