"""Pieces as answers in OpenAI's chat dialect: the official SDK reads them, and they become the same pieces again."""

from collections.abc import Iterable, Sequence
from typing import Any

import httpx2
import msgspec
import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw
from msgspec.structs import replace
from openai.types.chat import ChatCompletion, ChatCompletionChunk, ChatCompletionMessageParam

from fakes.corpora import recorded
from fakes.wire import parse
from pointsman.domain import failures
from pointsman.domain.calls import Call
from pointsman.domain.failures import Failure
from pointsman.domain.outcomes import Usage
from pointsman.domain.pieces import (
    AudioPiece,
    CitationPiece,
    Done,
    Failed,
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
from pointsman.wire.json_object import UNREADABLE
from pointsman.wire.openai_chat.read_answer import ChatReader, read_answer, reader
from pointsman.wire.openai_chat.read_request import read_request
from pointsman.wire.openai_chat.write_answer import write_answer, writer
from pointsman.wire.sse import event_data, split_events

NOW = 1_700_000_000.5
OWN = "openai-chat"
MESSAGES: list[ChatCompletionMessageParam] = [{"role": "user", "content": "hello"}]


def call_with(**fields: Any) -> Call:
    return parse({"model": "m", "messages": MESSAGES, **fields})


STREAMED = call_with(stream=True, stream_options={"include_usage": True})
LEGACY = {"functions": [{"name": "f"}]}


def stream(pieces: Sequence[Piece], call: Call = STREAMED) -> bytes:
    one = writer(call, NOW)
    return b"".join(one.write([piece]) for piece in pieces)


def events(data: bytes) -> list[dict[str, Any]]:
    found = [event_data(event) for event in split_events(data)]
    return [msgspec.json.decode(event) for event in found if event not in {None, b"[DONE]"}]


def _read(one: ChatReader, event: bytes) -> Sequence[Piece]:
    data = event_data(event)
    return () if data is None else one.read(data, event)


def pieces_of(data: bytes) -> list[Piece]:
    one = reader()
    return [piece for event in split_events(data) for piece in _read(one, event)]


def message(*pieces: Piece, call: Call = STREAMED) -> dict[str, Any]:
    body = msgspec.json.decode(write_answer(call, NOW, pieces))
    found: dict[str, Any] = body["choices"][0]["message"]
    return found


def joined(pieces: Iterable[Piece]) -> list[Piece]:
    """Join the parts of texts and arguments that follow each other. The arguments of a call join wherever they are."""
    found: list[Piece] = []
    for piece in pieces:
        last = found[-1] if found else None
        if isinstance(piece, TextPiece | ReasoningPiece) and type(last) is type(piece) and not piece.begins:
            found[-1] = replace(last, text=last.text + piece.text)
        elif isinstance(piece, RefusalPiece) and isinstance(last, RefusalPiece):
            found[-1] = RefusalPiece(last.text + piece.text)
        elif isinstance(piece, ToolArguments):
            places = (n for n, one in enumerate(found) if isinstance(one, ToolArguments) and one.index == piece.index)
            place = next(places, None)
            if place is None:
                found.append(piece)
            else:
                earlier = found[place]
                assert isinstance(earlier, ToolArguments)
                found[place] = ToolArguments(piece.index, earlier.text + piece.text)
        else:
            found.append(piece)
    return found


WORDS = st.text('abc äé\n"\\😀', min_size=1, max_size=12)
SIGNS = st.text("QRST+/=", min_size=1, max_size=8)
TOKENS = st.integers(0, 99)


@st.composite
def answers(draw: st.DrawFn) -> list[Piece]:
    """Draw an answer in the order in which a whole answer has its parts."""
    pieces: list[Piece] = [Start("msg_1", "claude")]
    for number in range(draw(st.integers(0, 3))):
        if draw(st.booleans()):
            origin = draw(st.sampled_from(["anthropic", "openai-responses"]))
            pieces.append(ReasoningPiece(draw(WORDS), begins=True))
            pieces.append(SignaturePiece(draw(SIGNS), origin, id=draw(st.sampled_from(["", f"rs_{number}"]))))
        else:
            pieces.append(SignaturePiece(draw(SIGNS), "anthropic", is_redacted=True))
    reasons: list[FinishReason] = ["stop", "length", "content_filter"]
    if draw(st.booleans()):
        pieces.append(TextPiece(draw(WORDS), begins=True))
    if draw(st.booleans()):
        pieces.append(RefusalPiece(draw(WORDS)))
        reasons = ["refusal"]
    calls = draw(st.integers(0, 2))
    for index in range(calls):
        is_custom = draw(st.booleans())
        pieces.append(ToolBegin(index, f"call_{index}", draw(st.sampled_from(["f", "g"])), is_custom))
        pieces.append(ToolArguments(index, draw(WORDS)))
    if calls:
        reasons = ["tool_calls"]
    pieces.append(Finish(draw(st.sampled_from(reasons))))
    usage = Usage(
        draw(TOKENS),
        draw(TOKENS),
        draw(TOKENS),
        draw(TOKENS),
        draw(TOKENS),
        0,
        draw(TOKENS),
        draw(TOKENS),
        tier=draw(st.sampled_from([None, "flex"])),
        tools=draw(st.sampled_from([None, (("web_search", 2),)])),
    )
    return [*pieces, UsagePiece(usage), Done()]


@st.composite
def cut(draw: st.DrawFn, pieces: Sequence[Piece]) -> list[Piece]:
    """Cut the texts of an answer anywhere."""
    found: list[Piece] = []
    for piece in pieces:
        if isinstance(piece, TextPiece | ReasoningPiece | RefusalPiece | ToolArguments):
            at = draw(st.integers(0, len(piece.text)))
            parts = [part for part in (piece.text[:at], piece.text[at:]) if part]
            found.append(replace(piece, text=parts[0]))
            for part in parts[1:]:
                later = replace(piece, text=part)
                is_block = isinstance(later, TextPiece | ReasoningPiece)
                found += [replace(later, begins=False) if is_block else later]
        else:
            found.append(piece)
    return found


@settings(max_examples=150)
@given(st.data())
def test_pieces_survive_a_stream_however_it_is_cut(data: st.DataObject) -> None:
    pieces = data.draw(answers())
    parts = data.draw(cut(pieces))
    one = writer(STREAMED, NOW)
    size = data.draw(st.integers(1, 5))
    written = b"".join(one.write(parts[at : at + size]) for at in range(0, len(parts), size))
    assert joined(pieces_of(written)) == pieces
    assert written == stream(parts)


@settings(max_examples=150)
@given(st.data())
def test_pieces_survive_a_whole_answer(data: st.DataObject) -> None:
    pieces = data.draw(answers())
    body = write_answer(STREAMED, NOW, data.draw(cut(pieces)))
    assert list(read_answer(body)) == pieces
    assert body == write_answer(STREAMED, NOW, pieces)


@settings(max_examples=50)
@given(answers())
def test_official_sdk_reads_streams_and_whole_answers(pieces: list[Piece]) -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        if msgspec.json.decode(request.content).get("stream"):
            return httpx2.Response(200, content=stream(pieces), headers={"content-type": "text/event-stream"})
        whole = write_answer(STREAMED, NOW, pieces)
        return httpx2.Response(200, content=whole, headers={"content-type": "application/json"})

    with openai.OpenAI(api_key="k", http_client=httpx2.Client(transport=httpx2.MockTransport(answer))) as client:
        text = "".join(piece.text for piece in pieces if isinstance(piece, TextPiece))
        usage = next(piece.usage for piece in pieces if isinstance(piece, UsagePiece))
        chunks = list(client.chat.completions.create(model="m", messages=MESSAGES, stream=True))
        has_custom = any(isinstance(piece, ToolBegin) and piece.is_custom for piece in pieces)
        for chunk in () if has_custom else chunks:  # the SDK declares no custom tools in a stream
            ChatCompletionChunk.model_validate(chunk.model_dump())
        assert "".join(one.choices[0].delta.content or "" for one in chunks if one.choices) == text
        assert {(one.id, one.created, one.model) for one in chunks} == {("msg_1", int(NOW), "claude")}
        assert chunks[0].choices[0].delta.role == "assistant"
        assert [len(one.choices) for one in chunks if not one.choices or one.choices[0].finish_reason] == [1, 0]
        assert chunks[-1].usage is not None
        assert chunks[-1].usage.total_tokens == usage.tokens_in + usage.tokens_out
        whole = client.chat.completions.create(model="m", messages=MESSAGES)
        ChatCompletion.model_validate(whole.model_dump())
        assert (whole.choices[0].message.content or "") == text
        assert whole.usage == chunks[-1].usage


def test_official_sdk_raises_on_an_error_in_a_stream() -> None:
    one = writer(STREAMED, NOW)
    body = one.write([Start("c1", "m"), TextPiece("x")])
    body += one.error(Failure(failures.TRUNCATED, "the stream broke off"), "req_1")
    assert b"[DONE]" not in body
    transport = httpx2.MockTransport(
        lambda _: httpx2.Response(200, content=body, headers={"content-type": "text/event-stream"})
    )
    with openai.OpenAI(api_key="k", http_client=httpx2.Client(transport=transport)) as client:
        chunks = client.chat.completions.create(model="m", messages=MESSAGES, stream=True)
        with pytest.raises(openai.APIError, match="the stream broke off"):
            list(chunks)


def test_client_that_sends_its_message_back_returns_the_signature() -> None:
    said: list[Piece] = [
        ReasoningPiece("I think", begins=True),
        SignaturePiece("SIG", "anthropic"),
        SignaturePiece("RED", "anthropic", is_redacted=True),
        ReasoningPiece("short", begins=True),
        SignaturePiece("ENC", "openai-responses", id="rs_1"),
        TextPiece("x"),
    ]
    found = read_request(call_with(messages=[*MESSAGES, message(*said)])).turns[1].parts
    assert [(one.text, one.signature, one.redacted, one.origin, one.id) for one in found[:3]] == [  # type: ignore[union-attr]
        ("I think", "SIG", "", "anthropic", ""),
        ("", "", "RED", "anthropic", ""),
        ("short", "ENC", "", "openai-responses", "rs_1"),
    ]


def test_reasoning_of_this_dialect_keeps_its_form() -> None:
    found = message(
        ReasoningPiece("a", begins=True),
        SignaturePiece("text:some-v1:id:SIG", OWN, id="id"),
        SignaturePiece("encrypted:some-v1:rs_1:ENC", OWN, is_redacted=True),
        ReasoningPiece("b", begins=True),
        SignaturePiece("reasoning_content:::", OWN),
    )
    assert found["reasoning_content"] == "a\n\nb"
    assert found["reasoning_details"] == [
        {"text": "a", "signature": "SIG", "id": "id", "format": "some-v1", "index": 0, "type": "reasoning.text"},
        {"data": "ENC", "id": "rs_1", "format": "some-v1", "index": 1, "type": "reasoning.encrypted"},
        {"text": "b", "index": 2, "type": "reasoning.text"},
    ]


def test_usage_is_streamed_only_if_it_was_requested() -> None:
    pieces: list[Piece] = [Start("c1", "m"), TextPiece("x"), Finish("stop"), UsagePiece(Usage(1, 2)), Done()]
    silent = events(stream(pieces, call_with(stream=True)))
    assert all(one["choices"] and "usage" not in one for one in silent)
    told = events(stream(pieces))
    assert [one["usage"] is None for one in told] == [True, True, True, False]
    assert stream(pieces).endswith(b"data: [DONE]\n\n")


def test_stream_without_a_start_or_a_finish_has_both() -> None:
    found = events(stream([TextPiece("x"), Start("late"), Finish("stop"), Finish("length"), Done()]))
    assert [one["choices"][0]["finish_reason"] for one in found] == [None, None, "stop"]
    assert len({one["id"] for one in found}) == 1
    assert {one["model"] for one in found} == {"m"}
    assert events(stream([Done()]))[-1]["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("stop", "stop"),
        ("stop_sequence", "stop"),
        ("length", "length"),
        ("pause", "length"),
        ("content_filter", "content_filter"),
        ("refusal", "content_filter"),
    ],
)
def test_finish_reasons_are_written(reason: FinishReason, expected: str) -> None:
    body = msgspec.json.decode(write_answer(STREAMED, NOW, [TextPiece("x"), Finish(reason)]))
    assert body["choices"][0]["finish_reason"] == expected


def test_older_clients_get_a_function_call() -> None:
    pieces: list[Piece] = [ToolBegin(0, "a", "f"), ToolArguments(0, "{}"), ToolBegin(1, "b", "g"), Finish("tool_calls")]
    body = msgspec.json.decode(write_answer(call_with(**LEGACY), NOW, pieces))
    assert body["choices"][0]["message"]["function_call"] == {"name": "f", "arguments": "{}"}
    assert body["choices"][0]["finish_reason"] == "function_call"
    deltas = [one["choices"][0]["delta"] for one in events(stream(pieces, call_with(**LEGACY, stream=True)))]
    assert deltas[1:] == [
        {"function_call": {"name": "f", "arguments": ""}},
        {"function_call": {"arguments": "{}"}},
        {},
    ]


def test_citations_of_pages_are_written_and_others_left_out() -> None:
    own = Raw(b'{"type":"url_citation","own":1}')
    page = CitationPiece(Raw(b"{}"), "anthropic", "u", "t", 1, 2)
    pieces: list[Piece] = [TextPiece("x"), CitationPiece(own, OWN), page, CitationPiece(Raw(b"{}"), "anthropic")]
    expected = [
        {"type": "url_citation", "own": 1},
        {"type": "url_citation", "url_citation": {"url": "u", "title": "t", "start_index": 1, "end_index": 2}},
    ]
    assert message(*pieces)["annotations"] == expected
    deltas = [one["choices"][0]["delta"] for one in events(stream([*pieces, Finish("stop")]))]
    assert [delta["annotations"] for delta in deltas if "annotations" in delta] == [expected], "SDKs take one list only"


def test_audio_and_log_probabilities_are_joined() -> None:
    pieces: list[Piece] = [
        TextPiece("x", logprobs=Raw(b'[{"token":"x"}]')),
        TextPiece("y", logprobs=Raw(b'[{"token":"y"}]')),
        AudioPiece(Raw(b'{"id":"a","transcript":"he"}')),
        AudioPiece(Raw(b'{"transcript":"llo","data":"QQ=="}')),
        AudioPiece(Raw(b'{"data":"Qg==","expires_at":5}')),
    ]
    body = msgspec.json.decode(write_answer(STREAMED, NOW, pieces))
    assert body["choices"][0]["logprobs"] == {"content": [{"token": "x"}, {"token": "y"}], "refusal": None}
    assert message(*pieces)["audio"] == {"id": "a", "transcript": "hello", "data": "QQ==Qg==", "expires_at": 5}
    assert message(pieces[2])["audio"] == {"id": "a", "transcript": "he"}
    first = events(stream(pieces))[1]["choices"][0]
    assert first["logprobs"] == {"content": [{"token": "x"}], "refusal": None}


def test_failed_answers_write_nothing() -> None:
    one = writer(STREAMED, NOW)
    one.write([Start("c1", "m")])
    assert one.write([Failed(b"{}")]) == b""


def test_calls_without_arguments_get_an_empty_object() -> None:
    pieces: list[Piece] = [ToolBegin(0, "a", "f"), ToolBegin(1, "b", "sh", is_custom=True), Finish("tool_calls")]
    expected = [ToolBegin(0, "a", "f"), ToolBegin(1, "b", "sh", is_custom=True), ToolArguments(0, "{}")]
    assert pieces_of(stream(pieces))[1:-1] == expected
    calls = message(*pieces)["tool_calls"]
    assert (calls[0]["function"]["arguments"], calls[1]["custom"]["input"]) == ("{}", "")
    deltas = [one["choices"][0]["delta"] for one in events(stream(pieces, call_with(**LEGACY, stream=True)))]
    assert deltas[2] == {"function_call": {"arguments": "{}"}}


def test_recorded_answers_keep_their_text_and_their_calls() -> None:
    for exchange in recorded("/chat/completions"):
        if exchange.status != 200 or not exchange.body:
            continue
        try:
            pieces = pieces_of(exchange.body) if exchange.is_stream else list(read_answer(exchange.body))
        except UNREADABLE:
            assert b'"choices"' not in exchange.body or b'"message"' not in exchange.body, exchange.uri
            continue
        again = joined(read_answer(write_answer(STREAMED, NOW, pieces)))
        for kind in (TextPiece, ToolBegin):
            kept = [piece for piece in joined(pieces) if isinstance(piece, kind)]
            assert [piece for piece in again if isinstance(piece, kind)] == kept, exchange.uri
        ChatCompletion.model_validate_json(write_answer(STREAMED, NOW, pieces))


@pytest.mark.parametrize(("tier", "expected"), [("standard", "default"), ("on_demand", None), ("priority", "priority")])
def test_tiers_have_the_names_of_this_dialect(tier: str, expected: str | None) -> None:
    pieces: list[Piece] = [UsagePiece(Usage(1, 1, tier=tier)), Done()]
    assert msgspec.json.decode(write_answer(STREAMED, NOW, pieces)).get("service_tier") == expected
    assert events(stream(pieces))[-1].get("service_tier") == expected
