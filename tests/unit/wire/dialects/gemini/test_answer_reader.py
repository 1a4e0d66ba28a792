"""Gemini's answers, event by event and whole."""

import json
from typing import Any

import msgspec
import pytest

from fakes.gemini import USAGE, answer, call, read_stream, stream_of, text, thought
from pointsman.domain.outcomes import Usage
from pointsman.domain.pieces import (
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
from pointsman.wire.dialects.gemini.answer_reader import FAULTS, read_answer
from pointsman.wire.json_object import UNREADABLE

SPENT = Usage(20, 30, tokens_reasoning=12, tier="standard")


def whole(value: Any) -> list[Piece]:
    return list(read_answer(json.dumps(value).encode()))


def test_stream_of_thoughts_and_a_text() -> None:
    pieces = read_stream(
        stream_of(
            answer(thought("Hm"), usageMetadata={"promptTokenCount": 20}),
            answer(text("Hel")),
            answer(text("lo", thoughtSignature="c2ln")),
            answer(text(""), finish="STOP", usageMetadata=USAGE),
        )
    )
    assert pieces == [
        Start("r-1", "gemini-x"),
        ReasoningPiece("Hm"),
        UsagePiece(Usage(20, 0), is_partial=True),
        TextPiece("Hel"),
        TextPiece("lo"),
        SignaturePiece("text::c2ln", "gemini"),
        Finish("stop"),
        UsagePiece(SPENT),
    ]


def test_whole_answer_has_the_same_pieces_and_an_end() -> None:
    found = whole(answer(thought("Hm"), text("Hello"), finish="STOP", usageMetadata=USAGE))
    assert found == [
        Start("r-1", "gemini-x"),
        ReasoningPiece("Hm"),
        TextPiece("Hello"),
        Finish("stop"),
        UsagePiece(SPENT),
        Done(),
    ]


def test_signature_of_a_call_names_the_call() -> None:
    pieces = read_stream(
        stream_of(
            answer(call("f", "c2ln", id="abc", args={"city": "Oslo", "n": 1})),
            answer(call("g"), call("h", args={}), finish="STOP"),
        )
    )
    assert pieces[1:] == [
        SignaturePiece("call:abc:c2ln", "gemini"),
        ToolBegin(0, "abc", "f"),
        ToolArguments(0, '{"city":"Oslo","n":1}'),
        ToolBegin(1, "call_r-1_1", "g"),
        ToolArguments(1, "{}"),
        ToolBegin(2, "call_r-1_2", "h"),
        ToolArguments(2, "{}"),
        Finish("tool_calls"),
    ]


def test_call_without_any_id_gets_one_from_its_content() -> None:
    found = [
        piece
        for name in ("f", "g")
        for piece in whole({"candidates": answer(call(name), call(name))["candidates"]})
        if isinstance(piece, ToolBegin)
    ]
    assert len({piece.id for piece in found}) == 4
    assert all(piece.id.startswith("call_") for piece in found)


def test_signature_of_a_thought_stays_with_thoughts() -> None:
    assert SignaturePiece("thought::c2ln", "gemini") in whole(answer({**thought("a"), "thoughtSignature": "c2ln"}))


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("SAFETY", "content_filter"),
        ("RECITATION", "content_filter"),
        ("PROHIBITED_CONTENT", "content_filter"),
        ("SOMETHING_NEW", "stop"),
    ],
)
def test_reason_for_the_end(reason: str, expected: Any) -> None:
    assert Finish(expected) in whole(answer(text("a"), finish=reason))


@pytest.mark.parametrize("reason", sorted(FAULTS))
def test_fault_of_the_model_is_a_failure_with_usage(reason: str) -> None:
    found = whole(answer(text("a"), finish=reason, usageMetadata=USAGE))
    assert UsagePiece(SPENT) in found
    (failed,) = [piece for piece in found if isinstance(piece, Failed)]
    assert json.loads(failed.body)["error"]["type"] == reason
    assert not any(isinstance(piece, Finish) for piece in found)


@pytest.mark.parametrize("reason", [None, "", "FINISH_REASON_UNSPECIFIED"])
def test_event_without_a_reason_does_not_end_the_answer(reason: str | None) -> None:
    assert whole(answer(text("a"), finish=reason)) == [Start("r-1", "gemini-x"), TextPiece("a"), Done()]


def test_second_reason_changes_nothing() -> None:
    again = answer(finish="STOP", usageMetadata=USAGE)
    pieces = read_stream(stream_of(answer(text("a"), finish="MAX_TOKENS"), again))
    assert pieces[2:] == [Finish("length"), UsagePiece(SPENT)]


def test_blocked_prompt_is_filtered() -> None:
    blocked = {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 4}}
    assert whole(blocked) == [Start(), Finish("content_filter"), UsagePiece(Usage(4, 0)), Done()]


def test_error_inside_a_stream_is_a_failure() -> None:
    (failed,) = read_stream(stream_of({"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}}))
    assert isinstance(failed, Failed)
    assert json.loads(failed.body)["error"] == {"message": "busy", "type": "UNAVAILABLE", "code": 503}
    other = {"error": {"message": "odd"}}
    assert whole(other)[0] == Failed(json.dumps(other).encode())


def test_other_candidates_and_parts_are_skipped() -> None:
    second = {"index": 1, "content": {"parts": [{"text": "b"}]}}
    value = answer({"executableCode": {"code": "1"}}, {"inlineData": {"data": "AA"}}, text("a"))
    value["candidates"].append(second)
    assert [piece for piece in whole(value) if isinstance(piece, TextPiece)] == [TextPiece("a")]


def test_log_probabilities_have_the_common_shape() -> None:
    value = answer(text("Hi!"), finish="STOP")
    value["candidates"][0]["logprobsResult"] = {
        "chosenCandidates": [{"token": "Hi", "logProbability": -0.5}, {"token": "!", "logProbability": -1.5}],
        "topCandidates": [{"candidates": [{"token": "Hi", "logProbability": -0.5}, {"token": "\u00fc"}]}],
    }
    (found,) = [piece for piece in whole(value) if isinstance(piece, TextPiece)]
    assert found.logprobs is not None
    assert msgspec.json.decode(found.logprobs) == [
        {
            "token": "Hi",
            "logprob": -0.5,
            "bytes": [72, 105],
            "top_logprobs": [
                {"token": "Hi", "logprob": -0.5, "bytes": [72, 105]},
                {"token": "\u00fc", "logprob": 0.0, "bytes": [195, 188]},
            ],
        },
        {"token": "!", "logprob": -1.5, "bytes": [33], "top_logprobs": []},
    ]


def test_arguments_that_are_no_object_are_unreadable() -> None:
    for args in ([1], "x", 5):
        with pytest.raises(UNREADABLE):
            whole(answer(call("f", args=args)))
    assert ToolArguments(0, "{}") in whole(answer(call("f", args=None)))


@pytest.mark.parametrize("body", [b"", b"[", b"[]", b'{"candidates":5}', b'{"candidates":[{"content":[]}]}'])
def test_unreadable_answers(body: bytes) -> None:
    with pytest.raises(UNREADABLE):
        read_answer(body)
