"""Answers of Cohere as pieces."""

import json

import pytest

from fakes.cohere import answer, begin, block, call, called, end, event, read_stream, stream_of, text, thought
from pointsman.domain.outcomes import Usage
from pointsman.domain.pieces import (
    CitationPiece,
    Done,
    Failed,
    Finish,
    Piece,
    ReasoningPiece,
    Start,
    TextPiece,
    ToolArguments,
    ToolBegin,
    UsagePiece,
)
from pointsman.wire.upstreams.cohere import HALVES

SPENT = UsagePiece(Usage(20, 30, tokens_cached=8))
PAGE = {"type": "document", "id": "1", "document": {"id": "1", "title": "T", "url": "https://a.test"}}


def whole(value: object) -> list[Piece]:
    return list(HALVES.read_answer(json.dumps(value).encode()))


def test_stream_with_reasoning_and_text() -> None:
    stream = stream_of(begin(), *block(0, "thinking", "Hm"), *block(1, "text", "It", " rains"), end())
    expected = [
        Start("r-1"),
        ReasoningPiece("Hm"),
        TextPiece("It"),
        TextPiece(" rains"),
        Finish("stop"),
        SPENT,
        Done(),
    ]
    assert read_stream(stream) == expected
    assert whole(answer(thought("Hm"), text("It"), text(" rains"))) == expected


def test_plan_is_text_and_a_call_without_arguments_has_an_empty_object() -> None:
    events = [
        begin(),
        event("tool-plan-delta", tool_plan="I look."),
        *called(0, "c1", "f", '{"a":', "1}"),
        *called(1, "c2", "g"),
        end("TOOL_CALL"),
    ]
    expected = [
        TextPiece("I look."),
        ToolBegin(0, "c1", "f"),
        ToolArguments(0, '{"a":'),
        ToolArguments(0, "1}"),
        ToolBegin(1, "c2", "g"),
        ToolArguments(1, "{}"),
        Finish("tool_calls"),
    ]
    assert read_stream(stream_of(*events))[1:-2] == expected
    made = answer(tool_plan="I look.", tool_calls=[call("c1", "f", '{"a":1}'), call("c2", "g", "")], finish="TOOL_CALL")
    assert [piece for piece in whole(made) if isinstance(piece, ToolArguments)] == [
        ToolArguments(0, '{"a":1}'),
        ToolArguments(1, "{}"),
    ]


def test_indexes_of_calls_may_begin_anywhere() -> None:
    found = read_stream(stream_of(*called(1, "a", "f", "{}"), *called(2, "b", "g", "{}")))
    assert [piece.index for piece in found if isinstance(piece, ToolBegin | ToolArguments)] == [0, 0, 1, 1]


def test_citation_of_a_page_counts_from_the_beginning_of_all_texts() -> None:
    one = {"start": 0, "end": 2, "text": "It", "sources": [PAGE], "type": "TEXT_CONTENT"}
    stream = stream_of(
        event("tool-plan-delta", tool_plan="Plan"), *block(0, "text", "It"), event("citation-start", 0, citations=one)
    )
    found = read_stream(stream)[-1]
    assert isinstance(found, CitationPiece)
    assert (found.url, found.title, found.start, found.end, found.origin) == ("https://a.test", "T", 4, 6, "cohere")
    (tool, page) = [
        piece
        for piece in whole(answer(text("It"), citations=[{"sources": [{"type": "tool", "id": "c1"}]}, one]))
        if isinstance(piece, CitationPiece)
    ]
    assert (tool.url, page.url) == ("", "https://a.test")


@pytest.mark.parametrize(
    ("reason", "expected"),
    [("COMPLETE", "stop"), ("STOP_SEQUENCE", "stop_sequence"), ("MAX_TOKENS", "length"), ("NEW_ONE", "stop")],
)
def test_reasons(reason: str, expected: str) -> None:
    assert Finish(expected) in read_stream(stream_of(end(reason)))  # type: ignore[arg-type]


@pytest.mark.parametrize("reason", ["ERROR", "TIMEOUT"])
def test_failed_generation_is_a_failure(reason: str) -> None:
    spent, failed, _ = read_stream(stream_of(end(reason, error="broken")))
    assert spent == SPENT
    assert isinstance(failed, Failed)
    assert json.loads(failed.body) == {"message": "broken", "code": reason}


def test_event_without_a_type_is_an_error() -> None:
    body = b'data: {"message":"busy"}\n\ndata: [DONE]\n\n'
    assert read_stream(body) == [Failed(b'{"message":"busy"}')]
    assert read_stream(b'data: {"type":"debug","prompt":"x"}\n\n') == []


def test_chunk_of_several_tokens_has_their_joint_probability() -> None:
    made = {
        **event("content-delta", 0, content={"text": "C in"}),
        "logprobs": {"text": "C in", "logprobs": [-0.5, -1.0]},
    }
    (found,) = read_stream(stream_of(made))
    assert isinstance(found, TextPiece)
    assert found.logprobs is not None
    (token,) = json.loads(bytes(found.logprobs))
    assert (token["token"], token["logprob"], token["top_logprobs"]) == ("C in", -1.5, [])
