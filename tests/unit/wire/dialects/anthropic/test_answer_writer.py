"""Answers for clients with Anthropic's dialect: one open block at a time, and an end with all its facts."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from msgspec import Raw

from fakes.anthropic import HELLO, blocks_of, events_of, message_call
from pointsman.domain import failures
from pointsman.domain.failures import Failure
from pointsman.domain.outcomes import Usage
from pointsman.domain.pieces import (
    AudioPiece,
    CitationPiece,
    Done,
    Finish,
    FinishReason,
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
from pointsman.wire.dialects.anthropic.answer_writer import MessagesWriter, write_answer

CALL = message_call({**HELLO, "stream": True})
END: list[Piece] = [Finish("stop"), Done()]


def streamed(pieces: Sequence[Piece]) -> list[dict[str, Any]]:
    return events_of(MessagesWriter(CALL, 1.0).write(pieces))


def whole(pieces: Sequence[Piece]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(write_answer(CALL, 1.0, pieces))
    return found


def test_events_of_a_plain_answer() -> None:
    pieces: list[Piece] = [
        Start("x-1", "gpt"),
        TextPiece("Hel", begins=True),
        TextPiece("lo"),
        Finish("stop"),
        UsagePiece(Usage(5, 2)),
        Done(),
    ]
    events = streamed(pieces)
    assert [event["type"] for event in events] == [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    message = events[0]["message"]
    assert (message["id"], message["model"], message["content"]) == ("x-1", "gpt", [])
    assert message["usage"]["input_tokens"] == 0
    assert events[-2]["delta"] == {"stop_reason": "end_turn", "stop_sequence": None, "stop_details": None}
    assert (events[-2]["usage"]["input_tokens"], events[-2]["usage"]["output_tokens"]) == (5, 2)


def test_early_usage_is_in_the_first_event() -> None:
    first = streamed([Start(), UsagePiece(Usage(5, 1, 3)), TextPiece("x")])[0]["message"]
    assert (first["usage"]["input_tokens"], first["usage"]["cache_read_input_tokens"]) == (2, 3)
    assert (first["model"], first["id"]) == ("m", "msg_3e8")


def test_nothing_is_written_before_content() -> None:
    assert MessagesWriter(CALL, 1.0).write([Start(), UsagePiece(Usage(1)), TextPiece(""), ReasoningPiece("")]) == b""


def test_empty_answer_has_a_beginning_and_an_end() -> None:
    assert [event["type"] for event in streamed(END)] == ["message_start", "message_delta", "message_stop"]
    assert whole(END)["content"] == []


@pytest.mark.parametrize(
    ("pieces", "blocks"),
    [
        (
            [ReasoningPiece("a", begins=True), SignaturePiece("s", "anthropic"), ReasoningPiece("b"), TextPiece("c")],
            [
                {"type": "thinking", "thinking": "a", "signature": "s"},
                {"type": "thinking", "thinking": "b", "signature": ""},
                {"type": "text", "text": "c"},
            ],
        ),
        (
            [
                ReasoningPiece("a", begins=True),
                ReasoningPiece("b", begins=True),
                TextPiece("c"),
                TextPiece("d", begins=True),
            ],
            [
                {"type": "thinking", "thinking": "a", "signature": ""},
                {"type": "thinking", "thinking": "b", "signature": ""},
                {"type": "text", "text": "c"},
                {"type": "text", "text": "d"},
            ],
        ),
        (
            [SignaturePiece("enc", "responses", id="rs_1"), SignaturePiece("r", "anthropic", is_redacted=True)],
            [
                {"type": "thinking", "thinking": "", "signature": "pm.responses.rs_1|enc"},
                {"type": "redacted_thinking", "data": "r"},
            ],
        ),
        (
            [
                TextPiece("x"),
                CitationPiece(Raw(b'{"type":"char_location"}'), "anthropic"),
                CitationPiece(Raw(b"{}"), "openai", "https://x.test", "T", 0, 1),
            ],
            [
                {
                    "type": "text",
                    "text": "x",
                    "citations": [
                        {"type": "char_location"},
                        {
                            "type": "web_search_result_location",
                            "cited_text": "",
                            "encrypted_index": "",
                            "title": "T",
                            "url": "https://x.test",
                        },
                    ],
                }
            ],
        ),
        (
            [
                TextPiece("x"),
                ToolBegin(0, "a", "f"),
                ToolBegin(1, "b", "g"),
                ToolArguments(1, '{"q":'),
                ToolArguments(0, '{"p":1}'),
                ToolArguments(1, "2}"),
                ToolArguments(9, "lost"),
                ToolBegin(2, "c", "h"),
            ],
            [
                {"type": "text", "text": "x"},
                {"type": "tool_use", "id": "a", "name": "f", "input": {"p": 1}},
                {"type": "tool_use", "id": "b", "name": "g", "input": {"q": 2}},
                {"type": "tool_use", "id": "c", "name": "h", "input": {}},
            ],
        ),
        (
            [ToolBegin(0, "a", "f"), TextPiece("x"), AudioPiece(Raw(b"{}")), CitationPiece(Raw(b"{}"), "anthropic")],
            [
                {"type": "tool_use", "id": "a", "name": "f", "input": {}},
                {"type": "text", "text": "x", "citations": [{}]},
            ],
        ),
        ([CitationPiece(Raw(b"{}"), "anthropic")], []),
    ],
)
def test_pieces_become_blocks(pieces: list[Piece], blocks: list[dict[str, Any]]) -> None:
    assert blocks_of(streamed([*pieces, *END])) == blocks
    assert whole([*pieces, *END])["content"] == blocks


def test_next_call_is_written_at_once_if_the_last_one_is_complete() -> None:
    writer = MessagesWriter(CALL, 1.0)
    writer.write([ToolBegin(0, "a", "f"), ToolArguments(0, '{"p":{}}')])
    events = events_of(writer.write([ToolBegin(1, "b", "g"), ToolArguments(1, "{")]))
    assert [event["type"] for event in events] == ["content_block_stop", "content_block_start", "content_block_delta"]


def test_other_content_waits_for_an_incomplete_call() -> None:
    writer = MessagesWriter(CALL, 1.0)
    writer.write([ToolBegin(0, "a", "f"), ToolArguments(0, '{"p":')])
    assert writer.write([ToolBegin(1, "b", "g"), ToolArguments(1, "{}"), TextPiece("x")]) == b""
    assert b'"partial_json":"1}"' in writer.write([ToolArguments(0, "1}")])
    assert [event["index"] for event in events_of(writer.write([TextPiece("y")]))] == [0, 1, 1, 1, 2, 2, 2]


@pytest.mark.parametrize(
    ("reason", "shown"),
    [
        ("stop", "end_turn"),
        ("stop_sequence", "stop_sequence"),
        ("length", "max_tokens"),
        ("tool_calls", "tool_use"),
        ("content_filter", "refusal"),
        ("refusal", "refusal"),
        ("pause", "pause_turn"),
    ],
)
def test_reason_of_the_end(reason: FinishReason, shown: str) -> None:
    pieces: list[Piece] = [Finish(reason), Done()]
    assert streamed(pieces)[-2]["delta"]["stop_reason"] == whole(pieces)["stop_reason"] == shown


def test_refusal_is_a_text_and_a_reason() -> None:
    pieces: list[Piece] = [RefusalPiece("I "), RefusalPiece("cannot"), *END]
    assert blocks_of(streamed(pieces)) == whole(pieces)["content"] == [{"type": "text", "text": "I cannot"}]
    assert streamed(pieces)[-2]["delta"]["stop_reason"] == whole(pieces)["stop_reason"] == "refusal"


def test_details_of_a_refusal_are_shown() -> None:
    pieces: list[Piece] = [Finish("refusal", details=Raw(b'{"category":"bio"}')), Done()]
    assert streamed(pieces)[-2]["delta"]["stop_details"] == whole(pieces)["stop_details"] == {"category": "bio"}


def test_content_shows_a_missing_reason() -> None:
    endings: list[tuple[Piece, str]] = [
        (TextPiece("x"), "end_turn"),
        (ToolBegin(0, "a", "f"), "tool_use"),
        (RefusalPiece("x"), "refusal"),
    ]
    for piece, shown in endings:
        assert streamed([piece, Done()])[-2]["delta"]["stop_reason"] == shown
        assert whole([piece, Done()])["stop_reason"] == shown


def test_citation_of_another_author_without_an_address_is_left_out() -> None:
    pieces: list[Piece] = [TextPiece("x"), CitationPiece(Raw(b'{"type":"file_citation"}'), "openai-responses"), *END]
    assert blocks_of(streamed(pieces)) == whole(pieces)["content"] == [{"type": "text", "text": "x"}]


def test_whole_answer_wraps_arguments_that_are_no_object() -> None:
    found = whole([ToolBegin(0, "a", "f"), ToolArguments(0, "oops"), *END])
    assert found["content"][0]["input"] == {"INVALID_JSON": "oops"}


def test_error_ends_the_stream() -> None:
    writer = MessagesWriter(CALL, 1.0)
    writer.write([TextPiece("x")])
    (event,) = events_of(writer.error(Failure(failures.STALLED, "stalled"), "req-1"))
    assert event == {
        "type": "error",
        "error": {"type": "timeout_error", "message": "stalled"},
        "request_id": "req-1",
    }
    assert writer.write([TextPiece("y"), Done()]) == b""


def test_nothing_follows_the_end() -> None:
    writer = MessagesWriter(CALL, 1.0)
    writer.write(END)
    assert writer.write([TextPiece("y"), Done()]) == b""


def test_document_cited_in_another_dialect_is_left_out() -> None:
    file = CitationPiece(Raw(b'{"type":"file_citation"}'), "openai-responses")
    pieces: list[Piece] = [TextPiece("a", begins=True), file, *END]
    assert whole(pieces)["content"] == [{"type": "text", "text": "a"}]
    assert "citations" not in blocks_of(streamed(pieces))[0]
