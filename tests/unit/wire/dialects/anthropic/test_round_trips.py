"""Conversations and answers that the dialect can express survive writing and reading, wherever a stream is cut."""

import json
from itertools import pairwise
from typing import Any, Literal

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from fakes.anthropic import blocks_of, events_of, merged, message_call, read_stream
from pointsman.domain.conversations import (
    AnswerFormat,
    CacheMark,
    Conversation,
    DocumentPart,
    Image,
    Reasoning,
    Sampling,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
)
from pointsman.domain.outcomes import Usage
from pointsman.domain.pieces import (
    CitationPiece,
    Done,
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
from pointsman.wire.dialects.anthropic import HALVES
from pointsman.wire.json_object import encode_object

Mode = Literal["auto", "none", "required", "named"]

texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12).filter(str.strip)
words = st.from_regex(r"[a-zA-Z0-9_-]{1,12}", fullmatch=True)
marks = st.none() | st.builds(CacheMark, st.sampled_from(["", "5m", "1h"]))
objects = st.dictionaries(texts, st.integers(0, 9) | texts, max_size=3).map(json.dumps)
schemas = st.dictionaries(texts, texts, max_size=2).map(
    lambda more: Raw(json.dumps({"type": "object", "properties": more}).encode())
)
text_parts = st.builds(Text, texts, marks)
images = st.builds(Image, url=texts, cache=marks) | st.builds(
    Image, data=words, media_type=st.just("image/png"), cache=marks
)
documents = (
    st.builds(DocumentPart, url=texts, name=st.just("") | texts, cache=marks)
    | st.builds(DocumentPart, data=words, media_type=st.just("application/pdf"), cache=marks)
    | st.builds(DocumentPart, text=texts, media_type=st.just("text/plain"), cache=marks)
)
proofs = words.map(lambda word: "s" + word)
thoughts = st.builds(Reasoning, text=st.just("") | texts, signature=proofs, origin=st.just("anthropic")) | st.builds(
    Reasoning, redacted=proofs, origin=st.just("anthropic")
)


@st.composite
def conversations(draw: st.DrawFn) -> Conversation:
    turns, open_calls, names = [], list[str](), iter(f"call_{number}" for number in range(100))
    for _ in range(draw(st.integers(1, 4))):
        parts: list[Any] = [
            ToolResult(
                name,
                tuple(draw(st.lists(text_parts | images | documents, max_size=2))),
                draw(st.booleans()),
                cache=draw(marks),
            )
            for name in open_calls
        ]
        parts += draw(st.lists(text_parts | images | documents, min_size=0 if parts else 1, max_size=3))
        turns.append(Turn("user", tuple(parts)))
        if draw(st.booleans()):
            turns.append(Turn("system", tuple(draw(st.lists(text_parts, min_size=1, max_size=2)))))
        parts = draw(st.lists(thoughts, max_size=2)) + draw(st.lists(text_parts, min_size=1, max_size=2))
        open_calls = [next(names) for _ in range(draw(st.integers(0, 2)))]
        parts += [ToolCall(name, draw(words), draw(objects), cache=draw(marks)) for name in open_calls]
        turns.append(Turn("assistant", tuple(parts)))
    tools = tuple(
        draw(st.lists(st.builds(Tool, words, texts, schemas, st.none() | st.booleans(), cache=marks), max_size=2))
    )
    modes: list[Mode] = ["auto", "required", "named", "none"]
    mode = draw(st.none() | st.sampled_from(modes)) if tools else None
    is_forced = mode in ("required", "named")
    parallel = st.none() | st.booleans()
    choice = ToolChoice(
        mode, draw(words) if mode == "named" else "", draw(parallel) if mode not in (None, "none") else None
    )
    ways = st.builds(Thinking, st.just(True), st.none(), st.integers(1024, 4000), st.sampled_from(["", "omitted"]))
    ways |= st.builds(Thinking, st.just(True), st.sampled_from([None, "low", "max"]), summary=st.just("summarized"))
    off = st.just(Thinking()) | st.just(Thinking(is_on=False)) | st.just(Thinking(is_on=False, effort="high"))
    return Conversation(
        origin="anthropic",
        system=tuple(draw(st.lists(text_parts, max_size=2))),
        turns=tuple(turns),
        tools=tools,
        tool_choice=choice,
        sampling=Sampling(
            temperature=draw(st.none() | st.floats(0, 1)),
            top_p=draw(st.none() | st.floats(0, 1)),
            top_k=draw(st.none() | st.integers(1, 500)),
            stop=tuple(draw(st.lists(texts, max_size=2))),
        ),
        max_tokens=draw(st.integers(4001, 9000)),
        format=draw(st.none() | st.builds(AnswerFormat, schemas)),
        thinking=draw(off if is_forced else off | ways),
        user=draw(st.just("") | texts),
        metadata=draw(st.none() | st.just(Raw(b'{"a":[1]}'))),
        service_tier=draw(st.sampled_from(["", "auto", "default"])),
        rest=draw(st.sampled_from([{}, {"inference_geo": Raw(b'"us"')}])),
    )


@given(conversations(), st.booleans())
@settings(max_examples=40, deadline=None)
def test_conversation_survives_a_request(conversation: Conversation, streams: bool) -> None:
    written = HALVES.write_request(conversation, streams)
    assert (written.cannot, written.dropped) == ((), ())
    call = message_call(encode_object({"model": "m", **written.fields}))
    assert (call.stream, call.max_tokens) == (streams, conversation.max_tokens)
    assert HALVES.read_request(call) == conversation


counts = st.integers(0, 1000)
citations = st.builds(
    CitationPiece, st.just(Raw(b'{"type":"char_location","start_char_index":1}')), st.just("anthropic")
) | st.just(
    CitationPiece(
        Raw(b'{"type":"web_search_result_location","url":"https://x.test","title":"T"}'),
        "anthropic",
        "https://x.test",
        "T",
    )
)


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    cached, short, long, plain = (draw(counts) for _ in range(4))
    tools = draw(st.none() | st.just((("web_search", 2),)))
    tier = draw(st.sampled_from([None, "standard", "priority"]))
    return Usage(
        cached + short + long + plain,
        draw(counts),
        cached,
        draw(counts),
        tokens_cache_write=short,
        tokens_cache_write_1h=long,
        tier=tier,
        tools=tools,
    )


@st.composite
def answers(draw: st.DrawFn) -> list[Piece]:
    pieces: list[Piece] = [Start("msg_1", "claude"), UsagePiece(Usage(draw(counts), 1))]
    tools = 0
    for kind in draw(st.lists(st.sampled_from(["text", "thinking", "proof", "redacted", "tool"]), max_size=6)):
        if kind == "text":
            pieces += [
                TextPiece(part, number == 0)
                for number, part in enumerate(draw(st.lists(texts, min_size=1, max_size=3)))
            ]
            pieces += draw(st.lists(citations, max_size=2))
        elif kind == "thinking":
            pieces += [ReasoningPiece(draw(texts), begins=True), ReasoningPiece(draw(texts))]
            pieces.append(SignaturePiece(draw(proofs), "anthropic"))
        elif kind == "proof":
            pieces.append(SignaturePiece(draw(proofs), "anthropic"))
        elif kind == "redacted":
            pieces.append(SignaturePiece(draw(proofs), "anthropic", is_redacted=True))
        else:
            arguments = draw(objects)
            cut = draw(st.integers(1, len(arguments)))
            pieces += [ToolBegin(tools, f"toolu_{tools}", draw(words)), ToolArguments(tools, arguments[:cut])]
            pieces += [ToolArguments(tools, arguments[cut:])] if arguments[cut:] else []
            tools += 1
    finish = st.builds(Finish, st.sampled_from(["stop", "length", "tool_calls", "pause"]))
    finish |= st.builds(Finish, st.just("stop_sequence"), texts)
    finish |= st.just(Finish("refusal", details=Raw(b'{"type":"refusal","category":"bio"}')))
    return [*pieces, draw(finish), UsagePiece(draw(usages())), Done()]


def last_usage(pieces: list[Piece]) -> tuple[list[Piece], Usage]:
    """Return the pieces without the usage, and the usage at the end."""
    spent = [piece.usage for piece in pieces if isinstance(piece, UsagePiece)]
    return [piece for piece in pieces if not isinstance(piece, UsagePiece)], spent[-1]


@given(answers())
@settings(max_examples=40, deadline=None)
def test_answer_survives_a_stream(pieces: list[Piece]) -> None:
    stream = HALVES.writer(message_call(), 0.0).write(pieces)
    assert last_usage(merged(read_stream(stream))) == last_usage(merged(pieces))


@given(answers())
@settings(max_examples=40, deadline=None)
def test_whole_answer_survives(pieces: list[Piece]) -> None:
    pieces = [piece for piece in pieces if not isinstance(piece, UsagePiece)]
    pieces.insert(-1, UsagePiece(Usage(5, 7, 2)))
    body = HALVES.write_answer(message_call(), 0.0, pieces)
    assert merged(HALVES.read_answer(body)) == merged(pieces)


@given(answers(), st.integers(1, 9))
@settings(max_examples=25, deadline=None)
def test_stream_may_be_cut_anywhere(pieces: list[Piece], size: int) -> None:
    stream = HALVES.writer(message_call(), 0.0).write(pieces)
    assert read_stream(stream, size) == read_stream(stream)


@given(answers(), st.lists(st.integers(0, 40), max_size=5))
@settings(max_examples=25, deadline=None)
def test_events_do_not_depend_on_the_grouping_of_pieces(pieces: list[Piece], cuts: list[int]) -> None:
    writer, whole = HALVES.writer(message_call(), 0.0), HALVES.writer(message_call(), 0.0).write(pieces)
    places = sorted({0, *(cut for cut in cuts if cut < len(pieces)), len(pieces)})
    parts = [writer.write(pieces[start:end]) for start, end in pairwise(places)]
    assert b"".join(parts) == whole


@st.composite
def alternating(draw: st.DrawFn) -> list[Piece]:
    """Return an answer in which the parts of calls, texts and reasoning alternate in any way."""
    pieces: list[Piece] = []
    left: dict[int, str] = {}
    for kind in draw(
        st.lists(st.sampled_from(["begin", "part", "part", "text", "refusal", "thinking", "proof"]), max_size=14)
    ):
        if kind == "begin":
            index = len(left)
            left[index] = draw(objects)
            pieces.append(ToolBegin(index, f"t{index}", "f"))
        elif kind == "part":
            waiting = [index for index, text in left.items() if text]
            if waiting:
                index = draw(st.sampled_from(waiting))
                cut = draw(st.integers(1, len(left[index])))
                pieces.append(ToolArguments(index, left[index][:cut]))
                left[index] = left[index][cut:]
        elif kind == "text":
            pieces.append(TextPiece(draw(texts), draw(st.booleans())))
        elif kind == "refusal":
            pieces.append(RefusalPiece(draw(texts)))
        elif kind == "thinking":
            pieces.append(ReasoningPiece(draw(texts), draw(st.booleans())))
        else:
            pieces.append(SignaturePiece(draw(proofs), "responses", draw(st.booleans()), draw(words)))
    pieces += [ToolArguments(index, text) for index, text in left.items() if text]
    return [*pieces, Finish("stop"), Done()]


@given(alternating())
@settings(max_examples=100, deadline=None)
def test_stream_and_whole_answer_have_the_same_content(pieces: list[Piece]) -> None:
    stream = HALVES.writer(message_call(), 0.0).write(pieces)
    whole = json.loads(HALVES.write_answer(message_call(), 0.0, pieces))
    assert blocks_of(events_of(stream)) == whole["content"]
    assert events_of(stream)[-2]["delta"]["stop_reason"] == whole["stop_reason"]
