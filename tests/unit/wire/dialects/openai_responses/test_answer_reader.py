"""Answers of OpenAI's Responses API are read, in the shapes of several servers."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.domain.outcomes import Usage
from pointsman.domain.pieces import (
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
from pointsman.wire.dialects.openai_responses.answer_reader import StreamReader, read_answer
from pointsman.wire.json_object import UNREADABLE

NAME = "openai-responses"
USAGE = {
    "input_tokens": 9,
    "input_tokens_details": {"cached_tokens": 4},
    "output_tokens": 5,
    "output_tokens_details": {"reasoning_tokens": 2},
    "total_tokens": 14,
}
MESSAGE = {
    "type": "message",
    "id": "msg_1",
    "role": "assistant",
    "content": [{"type": "output_text", "text": "hello", "annotations": []}],
}
REASONING = {
    "type": "reasoning",
    "id": "rs_1",
    "summary": [{"type": "summary_text", "text": "one"}, {"type": "summary_text", "text": "two"}],
    "encrypted_content": "enc",
}
CALL = {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "f", "arguments": '{"a":1}'}


def response(*output: Any, **more: Any) -> dict[str, Any]:
    return {"id": "resp_1", "object": "response", "model": "m-1", "status": "completed", "output": [*output], **more}


def streamed(*events: tuple[str, dict[str, Any]]) -> list[Piece]:
    reader = StreamReader()
    pieces: list[Piece] = []
    for kind, fields in events:
        data = json.dumps({"type": f"response.{kind}", **fields}).encode()
        pieces += reader.read(data, b"event: response.%b\ndata: %b\n\n" % (kind.encode(), data))
    return pieces


def whole(*output: Any, **more: Any) -> list[Piece]:
    return list(read_answer(json.dumps(response(*output, **more)).encode()))


def test_whole_answer_is_read() -> None:
    assert whole(REASONING, MESSAGE, CALL, usage=USAGE, service_tier="flex") == [
        Start("resp_1", "m-1"),
        ReasoningPiece("one", begins=True),
        ReasoningPiece("\n\ntwo"),
        SignaturePiece("enc", NAME, id="rs_1"),
        TextPiece("hello", begins=True),
        ToolBegin(0, "c1", "f"),
        ToolArguments(0, '{"a":1}'),
        UsagePiece(Usage(9, 5, 4, 2, tier="flex")),
        Finish("tool_calls"),
        Done(),
    ]


def test_events_that_repeat_a_text_add_nothing() -> None:
    place = {"output_index": 0, "content_index": 0}
    found = streamed(
        ("created", {"response": response(status="in_progress")}),
        ("output_item.added", {"output_index": 0, "item": {**MESSAGE, "content": []}}),
        ("output_text.delta", {**place, "delta": "he"}),
        ("output_text.delta", {**place, "delta": "llo"}),
        ("output_text.done", {**place, "text": "hello"}),
        ("output_item.done", {"output_index": 0, "item": MESSAGE}),
        ("completed", {"response": response(MESSAGE, usage=USAGE)}),
    )
    assert found == [
        Start("resp_1", "m-1"),
        TextPiece("he", begins=True),
        TextPiece("llo"),
        UsagePiece(Usage(9, 5, 4, 2)),
        Finish("stop"),
        Done(),
    ]


def test_items_without_parts_are_read_when_they_are_done() -> None:
    found = streamed(
        ("created", {"response": response(status="in_progress")}),
        *(("output_item.done", {"output_index": n, "item": item}) for n, item in enumerate([REASONING, MESSAGE, CALL])),
        ("completed", {"response": response(REASONING, MESSAGE, CALL)}),
    )
    assert found == whole(REASONING, MESSAGE, CALL)


def test_answer_that_comes_only_at_the_end_is_read() -> None:
    assert streamed(("completed", {"response": response(MESSAGE, CALL)})) == whole(MESSAGE, CALL)


def test_open_reasoning_is_read() -> None:
    """Servers of open models send the reasoning itself."""
    place = {"output_index": 0, "content_index": 0}
    found = streamed(
        ("output_item.added", {"output_index": 0, "item": {"type": "reasoning", "id": "r", "content": []}}),
        ("content_part.added", {**place, "part": {"type": "reasoning_text", "text": ""}}),
        ("reasoning_text.delta", {**place, "delta": "why"}),
        ("reasoning_text.done", {**place, "text": "why"}),
        ("output_item.done", {"output_index": 0, "item": {"type": "reasoning", "content": [{"text": "why"}]}}),
    )
    assert found == [ReasoningPiece("why", begins=True)]


def test_custom_calls_and_refusals_are_read() -> None:
    call = {"type": "custom_tool_call", "call_id": "c", "name": "f", "input": "raw"}
    refused = {"type": "message", "content": [{"type": "refusal", "refusal": "no"}]}
    assert whole(call)[1:4] == [ToolBegin(0, "c", "f", is_custom=True), ToolArguments(0, "raw"), Finish("tool_calls")]
    assert whole(refused)[1:3] == [RefusalPiece("no"), Finish("refusal")]


def test_arguments_of_several_calls_may_alternate() -> None:
    calls = [{**CALL, "call_id": f"c{number}", "arguments": ""} for number in range(2)]
    found = streamed(
        *(("output_item.added", {"output_index": n + 3, "item": call}) for n, call in enumerate(calls)),
        ("function_call_arguments.delta", {"output_index": 4, "delta": "b"}),
        ("function_call_arguments.delta", {"output_index": 3, "delta": "a"}),
    )
    assert found == [ToolBegin(0, "c0", "f"), ToolBegin(1, "c1", "f"), ToolArguments(1, "b"), ToolArguments(0, "a")]


@pytest.mark.parametrize(
    ("reason", "expected"), [("max_output_tokens", "length"), ("content_filter", "content_filter"), (None, "length")]
)
def test_incomplete_answer_has_a_reason(reason: str | None, expected: Any) -> None:
    cut = response(MESSAGE, status="incomplete", incomplete_details={"reason": reason})
    assert list(read_answer(json.dumps(cut).encode()))[-2:] == [Finish(expected), Done()]
    assert streamed(("incomplete", {"response": cut}))[-2:] == [Finish(expected), Done()]


_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-9, 9)
    | st.sampled_from(["", "x", "message", "reasoning", "function_call"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "item", "content", "text", "output", "delta"]), inner, max_size=4)
    ),
    max_leaves=10,
)
_KINDS = ("output_text.delta", "output_item.done", "completed", "failed", "function_call_arguments.delta", "new")


@given(st.sampled_from(_KINDS), st.dictionaries(st.sampled_from(["item", "response", "delta", "error"]), _JSON))
def test_any_event_is_read_or_unreadable(kind: str, fields: dict[str, Any]) -> None:
    with suppress(*UNREADABLE):
        streamed((kind, fields))
    with suppress(*UNREADABLE):
        read_answer(json.dumps(fields.get("response")).encode())


def test_answer_in_progress_has_no_finish() -> None:
    assert whole(MESSAGE, status="in_progress")[-2:] == [TextPiece("hello", begins=True), Done()]


def test_other_items_and_events_are_passed_over() -> None:
    search = {"type": "web_search_call", "id": "ws", "status": "completed", "arguments": {"odd": 1}}
    assert whole(search)[1:] == [Finish("stop"), Done()]
    found = streamed(
        ("output_item.added", {"output_index": 0, "item": search}),
        ("web_search_call.searching", {"output_index": 0, "item_id": "ws"}),
    )
    assert found == []
    assert StreamReader().read(b"[DONE]", b"data: [DONE]\n\n") == ()


def test_error_is_found_in_every_place() -> None:
    error = {"code": "server_error", "message": "oops"}
    body = json.dumps({"error": error}, separators=(",", ":")).encode()
    raw = json.loads(body)
    failed = response(status="failed", error=error)
    flat = {"type": "error", **error}
    reader = StreamReader()
    assert [json.loads(piece.body) for piece in whole(status="failed", error=error) if isinstance(piece, Failed)] == [
        raw
    ]
    for event in ({"type": "response.failed", "response": failed}, {"type": "error", "error": error}):
        (piece,) = reader.read(json.dumps(event).encode(), b"")
        assert isinstance(piece, Failed)
        assert json.loads(piece.body) == raw
    (piece,) = reader.read(json.dumps(flat).encode(), b"")
    assert isinstance(piece, Failed)
    assert json.loads(piece.body) == flat


def test_event_without_a_type_has_one_in_its_name() -> None:
    found = StreamReader().read(b'{"delta":"a"}', b'event: response.output_text.delta\ndata: {"delta":"a"}\n\n')
    assert found == [TextPiece("a", begins=True)]


def test_half_of_a_surrogate_pair_is_replaced() -> None:
    found = StreamReader().read(b'{"type":"response.output_text.delta","delta":"\\ud83d"}', b"")
    assert found == [TextPiece("�", begins=True)]


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"output":1}', b"\xff"])
def test_unreadable_answer_raises(body: bytes) -> None:
    with pytest.raises(UNREADABLE):
        read_answer(body)


@pytest.mark.parametrize("data", [b"", b"[]", b'{"type":1}', b'{"type":"response.completed"}', b"\xff"])
def test_unreadable_event_raises(data: bytes) -> None:
    with pytest.raises(UNREADABLE):
        StreamReader().read(data, b"")
