"""An answer that breaks off anywhere and goes on in another one is one answer for its client: every character once."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from fakes.dialects import call_of
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
    UsagePiece,
)
from pointsman.providers import PROVIDERS
from pointsman.wire.delivered import ContinuingWriter, Delivered, continued_call, is_plain
from pointsman.wire.dialect import Dialect
from pointsman.wire.dialects import CONVERSATIONS
from pointsman.wire.json_object import encode_object
from pointsman.wire.sse import event_data, split_events

RESUMABLE = [one for one in CONVERSATIONS if one.halves is not None and one.halves.resuming is not None]
EACH = pytest.mark.parametrize("dialect", RESUMABLE, ids=lambda one: str(one.name))
TEXTS = st.lists(st.text("ab \n\u00fc\U0001f600", min_size=1, max_size=4), min_size=1, max_size=8)
QUESTION: Any = [{"role": "user", "content": "Say"}]


def fields_of(dialect: Dialect, **more: Any) -> dict[str, Raw]:
    body = {"model": "m", "stream": True, "max_tokens": 100, **more}
    if dialect.name == "gemini":
        body |= {"contents": [{"role": "user", "parts": [{"text": "Say"}]}]}
    else:
        body["input" if dialect.operation == "responses" else "messages"] = QUESTION
    return {name: Raw(encode_object(value)) for name, value in body.items()}


def read(dialect: Dialect, stream: bytes) -> list[Piece]:
    assert dialect.halves is not None
    reader, pieces = dialect.halves.reader(), list[Piece]()
    for event in split_events(stream):
        data = event_data(event)
        if data is not None:
            pieces += reader.read(data, event)
    return pieces


@EACH
@given(st.data())
def test_every_character_comes_once(dialect: Dialect, data: st.DataObject) -> None:
    halves = dialect.halves
    assert halves is not None
    assert halves.resuming is not None
    call, texts = call_of(dialect, fields_of(dialect)), data.draw(TEXTS)
    thoughts: list[Piece] = data.draw(
        st.sampled_from([[], [ReasoningPiece("Hm", begins=True), SignaturePiece("s", "anthropic")]])
    )
    first: list[Piece] = [Start("x1", "m1"), *thoughts, *[TextPiece(one, not at) for at, one in enumerate(texts)]]
    client, delivered, stream = halves.writer(call, 1e9), Delivered(halves, halves.resuming, call), b""
    rest = data.draw(TEXTS)
    for at in range(data.draw(st.integers(1, 3))):  # the beginning, and parts that break off too
        if at:
            echoes, whole = data.draw(st.booleans()), delivered.text
            text = whole.rstrip()
            client = ContinuingWriter(delivered.writer(), text, whole[len(text) :], Usage(), echoes=echoes)
            again = data.draw(st.sampled_from(["", whole[len(text) :]]))
            rest = data.draw(TEXTS)
            if not again and rest[0][0].isspace():
                again = whole[len(text) :]  # otherwise its white space would be taken for a repetition
            cuts, parts = again + "".join(rest), list[str]()
            cuts = (text if echoes else "") + cuts
            while cuts:
                size = data.draw(st.integers(1, len(cuts)))
                parts.append(cuts[:size])
                cuts = cuts[size:]
            first = [Start("x2", "m2"), *[TextPiece(one, not at) for at, one in enumerate(parts)]]
            expected = whole + "".join(rest)
        else:
            expected = "".join(texts)
        for piece in first:
            out = client.write((piece,))
            stream += out
            delivered.read(out)
        assert delivered.is_text
        assert delivered.text == expected
    end = client.write((Finish("stop"), UsagePiece(Usage(1, 2)), Done()))
    pieces = read(dialect, stream + end)
    assert "".join(one.text for one in pieces if isinstance(one, TextPiece)) == expected
    assert [type(one) for one in pieces].count(Start) == 1
    assert [one.reason for one in pieces if isinstance(one, Finish)] == ["stop"]
    assert halves.ends_with_finish or isinstance(pieces[-1], Done)
    if dialect.operation == "responses":
        events = [json.loads(event_data(one) or b"") for one in split_events(stream + end)]
        assert [one["sequence_number"] for one in events] == list(range(len(events)))
        (message,) = [one for one in events[-1]["response"]["output"] if one["type"] == "message"]
        assert "".join(part["text"] for part in message["content"]) == expected


@EACH
def test_request_for_the_rest_is_the_conversation_and_the_text(dialect: Dialect) -> None:
    halves = dialect.halves
    assert halves is not None
    assert halves.resuming is not None
    asking = {"thinking": {"type": "enabled", "budget_tokens": 2000}, "reasoning": {"effort": "high"}}
    call = call_of(dialect, fields_of(dialect, **asking))
    rest = continued_call(halves.resuming, call, "so far", 3)
    conversation = halves.read_request(rest)
    assert is_plain(conversation, "so far")
    assert conversation.turns[:-1] == halves.read_request(call).turns
    assert conversation.thinking.is_on is None
    assert conversation.thinking.budget_tokens is None
    assert not is_plain(halves.read_request(continued_call(halves.resuming, rest, "so far", 3)), "so far")


@EACH
@pytest.mark.parametrize(
    "off",
    [
        {"thinking": {"type": "disabled"}},
        {"reasoning": {"effort": "none"}},
        {"generationConfig": {"thinkingConfig": {"thinkingBudget": 0}}},
    ],
)
def test_reasoning_that_is_off_stays_off(dialect: Dialect, off: dict[str, Any]) -> None:
    """Some models reason by default. Their reasoning would take the bound of the rest."""
    halves = dialect.halves
    assert halves is not None
    assert halves.resuming is not None
    call = call_of(dialect, fields_of(dialect, **off))
    thinking = halves.read_request(call).thinking
    assert halves.read_request(continued_call(halves.resuming, call, "so far", 3)).thinking == thinking


class Taken:
    """A `PieceWriter` that keeps the pieces."""

    def __init__(self) -> None:
        self.pieces: list[Piece] = []

    def write(self, pieces: Sequence[Piece]) -> bytes:
        self.pieces += pieces
        return b""

    def error(self, failure: Failure, request_id: str) -> bytes:
        return b""


@pytest.mark.parametrize(
    ("echoes", "parts", "expected"),
    [
        (True, ["So", " far", " and on"], " and on"),
        (True, ["So far"], ""),
        (True, ["So far off"], " off"),
        (True, ["So ", "long"], "So long"),  # no repetition, so nothing is cut
        (True, ["And on"], "And on"),
        (False, ["So far"], "So far"),  # a model may say the same again
    ],
)
def test_only_a_true_repetition_is_cut(echoes: bool, parts: list[str], expected: str) -> None:
    taken = Taken()
    writer = ContinuingWriter(taken, "So far", "", Usage(), echoes=echoes)
    writer.write([TextPiece(part) for part in parts])
    assert "".join(one.text for one in taken.pieces if isinstance(one, TextPiece)) == expected


@pytest.mark.parametrize(("echoes", "said"), [(True, "So far\n said"), (False, "\n said"), (False, " said")])
def test_citations_point_to_the_same_text(echoes: bool, said: str) -> None:
    taken, whole = Taken(), "So far\n"
    writer = ContinuingWriter(taken, "So far", "\n", Usage(), echoes=echoes)
    at = said.index("said")
    writer.write([TextPiece(said), CitationPiece(Raw(b"{}"), "openai", start=at, end=at + 4)])
    (citation,) = [one for one in taken.pieces if isinstance(one, CitationPiece)]
    whole += "".join(one.text for one in taken.pieces if isinstance(one, TextPiece))
    assert whole[citation.start : citation.end] == "said"


CONTINUED = [
    ("anthropic", "claude-3-5-haiku-20241022"),
    ("anthropic", "claude-sonnet-4-20250514"),
    ("anthropic", "claude-haiku-4-5"),
    ("openrouter", "anthropic/claude-sonnet-4.5"),
    ("openrouter", "anthropic/claude-3.7-sonnet"),
    ("deepseek", "deepseek-chat"),
    ("moonshot", "kimi-k2.5"),
    ("alibaba", "qwen3-max"),
    ("alibaba", "qwen-plus-latest"),
]
ANEW = [
    ("anthropic", "claude-opus-4-6"),
    ("anthropic", "claude-sonnet-4-6"),
    ("anthropic", "claude-opus-5"),
    ("openrouter", "anthropic/claude-opus-4.6"),
    ("openrouter", "openai/gpt-5.5"),
    ("moonshot", "kimi-k2-thinking"),
    ("alibaba", "qwen3-vl-235b-thinking"),
    ("alibaba", "qwq-plus"),
]


def test_models_that_continue_a_text() -> None:
    def takes(provider: str, model: str) -> bool:
        prefill = PROVIDERS[provider].prefill
        assert prefill is not None
        return prefill.takes(model)

    assert [pair for pair in CONTINUED if not takes(*pair)] == []
    assert [pair for pair in ANEW if takes(*pair)] == []
    assert PROVIDERS["openai"].prefill is PROVIDERS["gemini"].prefill is None
