"""Answers of Converse, whole and streamed."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from fakes.bedrock import USAGE, answer, call, event, exception, read_stream, stream_of, text, thought
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
from pointsman.wire.upstreams.bedrock.answer_reader import FAULTS, REASONS, read_answer

BLOCKS = (
    thought("Let me see", "c2ln"),
    {"reasoningContent": {"redactedContent": "aGlkZGVu"}},
    text("I look both up."),
    call("f", "t1", city="Oslo"),
    call("g", "t2"),
)


def whole(*blocks: Any, **fields: Any) -> Sequence[Piece]:
    return read_answer(json.dumps(answer(*blocks, **fields)).encode())


def joined(pieces: Sequence[Piece]) -> list[Piece]:
    """Return the pieces with the parts of a text and of arguments joined."""
    out: list[Piece] = []
    for piece in pieces:
        last = out[-1] if out else None
        if isinstance(piece, TextPiece) and isinstance(last, TextPiece) and not piece.begins:
            out[-1] = TextPiece(last.text + piece.text, last.begins)
        elif isinstance(piece, ReasoningPiece) and isinstance(last, ReasoningPiece) and not piece.begins:
            out[-1] = ReasoningPiece(last.text + piece.text, last.begins)
        elif isinstance(piece, ToolArguments) and isinstance(last, ToolArguments) and piece.index == last.index:
            out[-1] = ToolArguments(piece.index, last.text + piece.text)
        else:
            out.append(piece)
    return [
        ToolArguments(one.index, json.dumps(json.loads(one.text))) if isinstance(one, ToolArguments) else one
        for one in out
    ]


EXPECTED: list[Piece] = [
    Start(),
    ReasoningPiece("Let me see", begins=True),
    SignaturePiece("c2ln", "bedrock"),
    SignaturePiece("aGlkZGVu", "bedrock", is_redacted=True),
    TextPiece("I look both up.", begins=True),
    ToolBegin(0, "t1", "f"),
    ToolArguments(0, '{"city": "Oslo"}'),
    ToolBegin(1, "t2", "g"),
    ToolArguments(1, "{}"),
    Finish("tool_calls"),
    UsagePiece(Usage(20, 30)),
    Done(),
]


def test_whole_answer_and_stream_have_the_same_pieces() -> None:
    assert joined(whole(*BLOCKS, stop="tool_use")) == EXPECTED
    assert joined(read_stream(stream_of(*BLOCKS, stop="tool_use"))) == EXPECTED


@pytest.mark.parametrize("reason", [*REASONS, "unknown"])
def test_reasons(reason: str) -> None:
    expected = Finish(REASONS.get(reason, "stop"))
    assert expected in whole(text("a"), stop=reason)
    assert expected in read_stream(stream_of(text("a"), stop=reason))


@pytest.mark.parametrize("reason", sorted(FAULTS))
def test_answer_of_a_model_that_failed_is_an_error(reason: str) -> None:
    for pieces in (whole(text("a"), stop=reason), read_stream(stream_of(text("a"), stop=reason))):
        assert any(isinstance(piece, Failed) and reason.encode() in piece.body for piece in pieces)
        assert not any(isinstance(piece, Finish) for piece in pieces)


def test_tools_of_amazon_and_images_are_skipped() -> None:
    own = {"toolUse": {"toolUseId": "t", "name": "search", "input": {}, "type": "server_tool_use"}}
    assert [type(one) for one in whole({"image": {"format": "png"}}, own, text("a"))][:2] == [Start, TextPiece]
    begun = event("contentBlockStart", contentBlockIndex=0, start=own)
    delta = event("contentBlockDelta", contentBlockIndex=0, delta={"toolUse": {"input": "{}"}})
    assert read_stream(begun + delta + event("contentBlockStop", contentBlockIndex=0) + event("new")) == []


def test_cited_text_is_text() -> None:
    cited = {"citationsContent": {"content": [{"text": "As said."}], "citations": [{"title": "t"}]}}
    assert TextPiece("As said.", begins=True) in whole(cited)


def test_exception_in_a_stream_is_an_error() -> None:
    (piece,) = read_stream(exception("modelStreamErrorException", "broken"))
    assert isinstance(piece, Failed)
    assert json.loads(piece.body)["error"] == {"type": "modelStreamErrorException", "message": "broken"}


def test_tier_is_part_of_the_usage() -> None:
    assert UsagePiece(Usage(20, 30, tier="flex")) in whole(text("a"), serviceTier={"type": "flex"})
    tiered = event("metadata", usage=USAGE, serviceTier={"type": "flex"})
    assert read_stream(tiered) == [UsagePiece(Usage(20, 30, tier="flex")), Done()]
