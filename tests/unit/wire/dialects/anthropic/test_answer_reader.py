"""Answers of providers with Anthropic's dialect, event by event."""

import json
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from fakes.anthropic import read_stream, stream_of
from fakes.corpora import recorded
from pointsman.domain.outcomes import Usage
from pointsman.domain.pieces import (
    CitationPiece,
    Done,
    Failed,
    Finish,
    Piece,
    ReasoningPiece,
    SignaturePiece,
    Start,
    TextPiece,
    ToolArguments,
    ToolBegin,
    UsagePiece,
)
from pointsman.wire.dialects.anthropic.answer_reader import AnthropicReader, read_answer

USAGE = {"input_tokens": 5, "output_tokens": 1, "service_tier": "standard"}
MESSAGE: dict[str, Any] = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "content": []}
WEB = {"type": "web_search_result_location", "url": "https://x.test", "title": "T", "cited_text": "c"}


def begin(index: int, **block: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def delta(index: int, **fields: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": fields}


def stop(index: int) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": index}


def pieces_of(*events: dict[str, Any]) -> list[Piece]:
    return read_stream(stream_of(*events))


def test_stream_of_a_text() -> None:
    found = pieces_of(
        {"type": "message_start", "message": {**MESSAGE, "usage": USAGE}},
        begin(0, type="text", text=""),
        {"type": "ping"},
        delta(0, type="text_delta", text="Hel"),
        delta(0, type="text_delta", text="lo"),
        delta(0, type="text_delta", text=""),
        stop(0),
        {
            "type": "message_delta",
            "delta": {"stop_reason": "stop_sequence", "stop_sequence": "\n"},
            "usage": {"output_tokens": 7, "input_tokens": None},
        },
        {"type": "message_stop"},
        {"type": "news", "index": 0},
    )
    assert found == [
        Start("msg_1", "claude"),
        UsagePiece(Usage(5, 1, tier="standard"), is_partial=True),
        TextPiece("Hel", begins=True),
        TextPiece("lo"),
        Finish("stop_sequence", "\n"),
        UsagePiece(Usage(5, 7, tier="standard")),
        Done(),
    ]


def test_thinking_has_its_proof() -> None:
    found = pieces_of(
        begin(0, type="thinking", thinking="", signature=""),
        delta(0, type="thinking_delta", thinking="hm"),
        delta(0, type="signature_delta", signature="s1"),
        stop(0),
        begin(1, type="thinking", thinking="", signature=""),
        delta(1, type="signature_delta", signature="s2"),
        stop(1),
        begin(2, type="redacted_thinking", data="r"),
        stop(2),
    )
    assert found == [
        ReasoningPiece("hm", begins=True),
        SignaturePiece("s1", "anthropic"),
        SignaturePiece("s2", "anthropic"),
        SignaturePiece("r", "anthropic", is_redacted=True),
    ]


def test_calls_of_tools_are_counted_apart_from_blocks() -> None:
    found = pieces_of(
        begin(0, type="text", text="", citations=None),
        delta(0, type="text_delta", text="x"),
        stop(0),
        begin(1, type="tool_use", id="a", name="f", input={}),
        delta(1, type="input_json_delta", partial_json=""),
        delta(1, type="input_json_delta", partial_json='{"q"'),
        delta(1, type="input_json_delta", partial_json=":1}"),
        stop(1),
        begin(2, type="tool_use", id="b", name="g", input={}),
        stop(2),
        begin(3, type="tool_use", id="c", name="h", input={"whole": True}),
        stop(3),
    )
    assert found[1:] == [
        ToolBegin(0, "a", "f"),
        ToolArguments(0, '{"q"'),
        ToolArguments(0, ":1}"),
        ToolBegin(1, "b", "g"),
        ToolArguments(1, "{}"),
        ToolBegin(2, "c", "h"),
        ToolArguments(2, '{"whole": true}'),
    ]


def test_tools_of_the_provider_are_skipped() -> None:
    found = pieces_of(
        begin(0, type="server_tool_use", id="s", name="web_search", input={}),
        delta(0, type="input_json_delta", partial_json="{}"),
        stop(0),
        begin(1, type="web_search_tool_result", tool_use_id="s", content=[{"text": 1}]),
        stop(1),
    )
    assert found == []


def test_citation_follows_its_block_with_its_place() -> None:
    location = {"type": "char_location", "document_index": 0}
    found = pieces_of(
        begin(0, type="text", text="Well: "),
        stop(0),
        begin(1, type="text", text="", citations=[]),
        delta(1, type="citations_delta", citation=WEB),
        delta(1, type="text_delta", text="it rains"),
        delta(1, type="citations_delta", citation=location),
        stop(1),
    )
    assert found == [
        TextPiece("Well: ", begins=True),
        TextPiece("it rains", begins=True),
        CitationPiece(Raw(json.dumps(WEB).encode()), "anthropic", "https://x.test", "T", 6, 14),
        CitationPiece(Raw(json.dumps(location).encode()), "anthropic"),
    ]


def test_citation_of_a_block_that_never_ends_is_not_lost() -> None:
    found = pieces_of(
        begin(0, type="text", text="a", citations=[WEB]),
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {}},
    )
    assert [type(piece) for piece in found] == [TextPiece, CitationPiece, Finish, UsagePiece]


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("end_turn", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "refusal"),
        ("pause_turn", "pause"),
        ("new_reason", "stop"),
    ],
)
def test_reason_of_the_end(theirs: str, ours: str) -> None:
    details = {"type": "refusal", "category": None} if theirs == "refusal" else None
    event = {"type": "message_delta", "delta": {"stop_reason": theirs, "stop_details": details}}
    (found,) = pieces_of(event)
    assert isinstance(found, Finish)
    assert found.reason == ours
    assert (found.details is None) is (details is None)


def test_error_is_passed_on_whole() -> None:
    event = {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}
    assert pieces_of(event) == [Failed(json.dumps(event).encode())]
    assert read_answer(json.dumps(event).encode()) == [Failed(json.dumps(event).encode()), Done()]


def test_half_of_a_pair_is_read() -> None:
    data = b'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"\\ud83d"}}'
    reader = AnthropicReader()
    reader.read(json.dumps(begin(0, type="text", text="")).encode(), b"")
    assert reader.read(data, b"") == [TextPiece("\ufffd", begins=True)]


@pytest.mark.parametrize("data", [b"{", b"[]", b'{"index":1}', b'{"type":"content_block_start","content_block":{}}'])
def test_unreadable_event_raises(data: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        AnthropicReader().read(data, b"")


def test_whole_answer() -> None:
    content = [
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "text", "text": "Hi", "citations": [WEB]},
        {"type": "tool_use", "id": "a", "name": "f", "input": {"q": 1}},
    ]
    body = {**MESSAGE, "content": content, "stop_reason": "tool_use", "stop_sequence": None, "usage": USAGE}
    assert read_answer(json.dumps(body).encode()) == [
        Start("msg_1", "claude"),
        ReasoningPiece("hm", begins=True),
        SignaturePiece("s", "anthropic"),
        TextPiece("Hi", begins=True),
        CitationPiece(Raw(json.dumps(WEB).encode()), "anthropic", "https://x.test", "T", 0, 2),
        ToolBegin(0, "a", "f"),
        ToolArguments(0, '{"q": 1}'),
        Finish("tool_calls"),
        UsagePiece(Usage(5, 1, tier="standard")),
        Done(),
    ]


def test_answer_without_finish_has_none() -> None:
    found = read_answer(json.dumps(MESSAGE).encode())
    assert found == [Start("msg_1", "claude"), Done()]


def test_recorded_answers_are_read_to_their_end() -> None:
    for item in recorded("api.anthropic.com/v1/messages"):
        if item.status == 200 and "count_tokens" not in item.uri:
            pieces = read_stream(item.body) if item.is_stream else list(read_answer(item.body))
            assert isinstance(pieces[0], Start)
            assert isinstance(pieces[-1], Done)
            assert any(isinstance(piece, Finish) for piece in pieces)
            usage = [piece.usage for piece in pieces if isinstance(piece, UsagePiece)][-1]
            assert usage.tokens_in
            assert usage.tokens_out
