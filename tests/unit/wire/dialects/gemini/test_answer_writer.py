"""Answers in Gemini's dialect, streamed and whole."""

import json
from collections.abc import Sequence
from typing import Any

from msgspec import Raw

from fakes.wire import parse
from pointsman.domain import failures
from pointsman.domain.failures import Failure
from pointsman.domain.outcomes import Usage
from pointsman.domain.pieces import (
    CitationPiece,
    Done,
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
from pointsman.wire.dialects.gemini._signatures import Proof, shown
from pointsman.wire.dialects.gemini.answer_writer import GenerateWriter, write_answer
from pointsman.wire.sse import event_data, split_events

CALL = parse({"contents": [{"parts": [{"text": "a"}]}]}, "/generateContent", streams=True)
BEGIN, END = Start("r-1", "m-1"), (UsagePiece(Usage(10, 5, 4, 2)), Finish("stop"), Done())


def events(*pieces: Piece) -> list[Any]:
    stream = GenerateWriter(CALL, 1e9).write(pieces)
    return [json.loads(event_data(event) or b"") for event in split_events(stream)]


def parts(answers: Sequence[Any]) -> list[Any]:
    return [part for answer in answers for part in answer["candidates"][0]["content"]["parts"]]


def test_each_text_is_an_event_and_the_last_has_reason_and_usage() -> None:
    found = events(BEGIN, TextPiece("Hel"), TextPiece("lo"), *END)
    assert parts(found) == [{"text": "Hel"}, {"text": "lo"}, {"text": ""}]
    assert all((one["responseId"], one["modelVersion"]) == ("r-1", "m-1") for one in found)
    assert "finishReason" not in found[0]["candidates"][0]
    assert found[-1]["candidates"][0]["finishReason"] == "STOP"
    assert found[-1]["usageMetadata"] == {
        "promptTokenCount": 10,
        "candidatesTokenCount": 3,
        "totalTokenCount": 15,
        "cachedContentTokenCount": 4,
        "thoughtsTokenCount": 2,
    }


def test_calls_are_written_whole_and_in_order() -> None:
    pieces: list[Piece] = [
        BEGIN,
        SignaturePiece("call:b:c2ln", "gemini"),
        ToolBegin(0, "a", "f"),
        ToolBegin(1, "b", "g"),
        ToolArguments(1, '{"x":'),
        ToolArguments(0, '{"y"'),
        ToolArguments(1, "1}"),
        TextPiece("after"),
        ToolArguments(0, ":2}"),
    ]
    found = parts(events(*pieces, *END))
    assert found == [
        {"functionCall": {"id": "a", "name": "f", "args": {"y": 2}}},
        {"functionCall": {"id": "b", "name": "g", "args": {"x": 1}}, "thoughtSignature": "c2ln"},
        {"text": "after"},
    ]
    whole = json.loads(write_answer(CALL, 1e9, [*pieces, *END]))
    assert parts([whole]) == found


def test_arguments_that_are_no_object_are_wrapped() -> None:
    found = parts(events(BEGIN, ToolBegin(0, "a", "f"), ToolArguments(0, "any text"), *END))
    assert found[0]["functionCall"]["args"] == {"INVALID_JSON": "any text"}


def test_thoughts_and_proofs() -> None:
    pieces = (
        BEGIN,
        ReasoningPiece("h"),
        ReasoningPiece("m"),
        SignaturePiece("sig", "anthropic"),
        TextPiece("so"),
        *END,
    )
    proof = shown(Proof("sig", "anthropic"))
    assert parts(events(*pieces))[:4] == [
        {"text": "h", "thought": True},
        {"text": "m", "thought": True},
        {"text": "", "thought": True, "thoughtSignature": proof},
        {"text": "so"},
    ]
    assert parts([json.loads(write_answer(CALL, 1e9, pieces))]) == [
        {"text": "hm", "thought": True, "thoughtSignature": proof},
        {"text": "so"},
    ]


def test_log_probabilities_and_sources() -> None:
    tokens = Raw(b'[{"token":"a","logprob":-0.5,"bytes":null,"top_logprobs":[{"token":"b","logprob":-1}]}]')
    page = CitationPiece(Raw(b"{}"), "openai", "https://x.test", "a page", 0, 1)
    pieces = (BEGIN, TextPiece("a", logprobs=tokens), page, *END)
    expected = {
        "chosenCandidates": [{"token": "a", "logProbability": -0.5}],
        "topCandidates": [{"candidates": [{"token": "b", "logProbability": -1.0}]}],
    }
    first, last = events(*pieces)
    whole = json.loads(write_answer(CALL, 1e9, pieces))["candidates"][0]
    assert first["candidates"][0]["logprobsResult"] == whole["logprobsResult"] == expected
    for one in (last["candidates"][0], whole):
        assert one["citationMetadata"] == {
            "citationSources": [{"startIndex": 0, "endIndex": 1, "uri": "https://x.test"}]
        }


def test_log_probabilities_stay_with_a_text_that_waits_for_a_call() -> None:
    tokens = Raw(b'[{"token":"after","logprob":-0.5}]')
    begun: list[Piece] = [BEGIN, ToolBegin(0, "a", "f"), ToolArguments(0, '{"x":1')]
    pieces = [*begun, TextPiece("after", logprobs=tokens), ToolArguments(0, "}"), TextPiece("more"), *END]
    of_parts = [
        (*one["candidates"][0]["content"]["parts"], one["candidates"][0].get("logprobsResult"))
        for one in events(*pieces)
    ]
    expected = {
        "chosenCandidates": [{"token": "after", "logProbability": -0.5}],
        "topCandidates": [{"candidates": []}],
    }
    assert [logprobs for _, logprobs in of_parts] == [None, expected, None, None]
    unended = events(*begun, TextPiece("after", logprobs=tokens), *END)
    assert unended[-1]["candidates"][0]["logprobsResult"] == expected


def test_failed_stream_ends_with_an_error() -> None:
    event = GenerateWriter(CALL, 1e9).error(Failure(failures.STALLED, "it stalled"), "q-1")
    error = json.loads(event_data(event) or b"")["error"]
    assert error["code"] == failures.STALLED.status
    assert "it stalled" in error["message"]
