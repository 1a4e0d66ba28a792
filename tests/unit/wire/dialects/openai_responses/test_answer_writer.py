"""Answers of OpenAI's Responses API are written as OpenAI writes them, and are read again without loss."""

import json
from collections.abc import Sequence
from typing import Any

import httpx2  # of the official SDK
import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw
from msgspec.structs import replace
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from fakes.answered import answers, groups, merged, reasoning, texts
from fakes.wire import parse
from pointsman.domain import failures
from pointsman.domain.calls import Call
from pointsman.domain.failures import Failure, Kind
from pointsman.domain.outcomes import Usage
from pointsman.domain.pieces import (
    CitationPiece,
    Done,
    Failed,
    Finish,
    Piece,
    RefusalPiece,
    SignaturePiece,
    Start,
    TextPiece,
    ToolArguments,
    ToolBegin,
    UsagePiece,
)
from pointsman.wire.dialects.openai_responses.answer_reader import StreamReader, read_answer
from pointsman.wire.dialects.openai_responses.answer_writer import ResponseWriter, write_answer
from pointsman.wire.sse import EventSplitter, event_data, split_events

NAME = "openai-responses"
NOW = 1_790_000_000.25
EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


def asked(**fields: Any) -> Call:
    return parse({"model": "m", "input": "hello", **fields}, "/responses")


CALL = asked()


def streamed(pieces: Sequence[Piece], call: Call = CALL) -> bytes:
    return ResponseWriter(call, NOW).write(pieces)


def events(stream: bytes) -> list[dict[str, Any]]:
    """Return the events, each of which must be named like its type and be numbered."""
    found = []
    for number, event in enumerate(split_events(stream)):
        data = json.loads(event_data(event) or b"")
        assert event.startswith(b"event: %b\n" % data["type"].encode())
        assert data["sequence_number"] == number
        found.append(data)
    return found


def kinds(stream: bytes) -> list[str]:
    return [event["type"].removeprefix("response.") for event in events(stream)]


def read(stream: bytes) -> list[Piece]:
    reader = StreamReader()
    return [piece for event in split_events(stream) for piece in reader.read(event_data(event) or b"", event)]


def client(stream: bytes) -> openai.OpenAI:
    """Return an official client that receives this stream."""
    headers = {"content-type": "text/event-stream"}
    transport = httpx2.MockTransport(lambda request: httpx2.Response(200, headers=headers, content=stream))
    return openai.OpenAI(api_key="x", base_url="https://x.test", http_client=httpx2.Client(transport=transport))


def as_read(pieces: Sequence[Piece]) -> list[object]:
    """Return pieces as they are read again: with this gateway's ids."""
    shown = [replace(piece, id="resp_x1") if isinstance(piece, Start) else piece for piece in pieces]
    tiered = [
        UsagePiece(replace(piece.usage, tier="default")) if isinstance(piece, UsagePiece) else piece for piece in shown
    ]
    return merged(tiered)


def without_ids(pieces: Sequence[Piece]) -> list[Piece]:
    return [replace(piece, id="") if isinstance(piece, SignaturePiece) else piece for piece in pieces]


@given(answers("anthropic", NAME))
def test_written_stream_is_read_again(pieces: list[Piece]) -> None:
    assert merged(without_ids(read(streamed(pieces)))) == as_read(pieces)


@given(answers("anthropic", NAME))
def test_written_answer_is_read_again(pieces: list[Piece]) -> None:
    assert merged(without_ids(read_answer(write_answer(CALL, NOW, pieces)))) == as_read(pieces)


@given(answers("anthropic"))
def test_last_event_holds_the_whole_answer(pieces: list[Piece]) -> None:
    assert events(streamed(pieces))[-1]["response"] == json.loads(write_answer(CALL, NOW, pieces))


@given(st.data())
def test_groups_of_pieces_do_not_matter(data: st.DataObject) -> None:
    pieces = data.draw(answers("anthropic"))
    writer = ResponseWriter(CALL, NOW)
    written = [writer.write(group) for group in data.draw(groups(pieces))]
    assert b"".join(written) == streamed(pieces)


@given(st.data())
def test_cuts_of_the_bytes_do_not_matter(data: st.DataObject) -> None:
    stream = streamed(data.draw(answers("anthropic")))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    splitter, reader, found = EventSplitter(), StreamReader(), list[Piece]()
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        for event in split_events(splitter.feed(stream[start:end])):
            found += reader.read(event_data(event) or b"", event)
    assert found == read(stream)


@settings(max_examples=15)
@given(answers("anthropic", NAME))
def test_events_are_those_of_the_official_sdk(pieces: list[Piece]) -> None:
    stream = streamed(pieces)
    for event in events(stream):
        EVENT.validate_python(event)
    Response.model_validate_json(write_answer(CALL, NOW, pieces))
    with client(stream).responses.stream(model="m", input="x") as accumulated:
        last = list(accumulated)[-1]
    assert last.type in ("response.completed", "response.incomplete")
    text = "".join(piece.text for piece in pieces if isinstance(piece, TextPiece))
    assert last.response.output_text == text


def test_text_comes_in_the_official_sequence() -> None:
    stream = streamed([Start("x1", "m-1"), *texts(["a", "b"]), Finish("stop"), UsagePiece(Usage(3, 2)), Done()])
    assert kinds(stream) == [
        *("created", "in_progress", "output_item.added", "content_part.added"),
        *("output_text.delta", "output_text.delta", "output_text.done", "content_part.done", "output_item.done"),
        "completed",
    ]
    assert b"[DONE]" not in stream


def test_tools_and_reasoning_come_in_the_official_sequence() -> None:
    pieces: list[Piece] = [
        *reasoning(["why"], "anthropic", "sig"),
        *(ToolBegin(0, "c0", "f"), ToolBegin(1, "c1", "g", is_custom=True)),
        *(ToolArguments(1, "x"), ToolArguments(0, "{}"), Finish("tool_calls"), Done()),
    ]
    stream = streamed(pieces)
    assert kinds(stream)[2:] == [
        *("output_item.added", "reasoning_summary_part.added", "reasoning_summary_text.delta"),
        *("reasoning_summary_text.done", "reasoning_summary_part.done", "output_item.done"),
        *("output_item.added", "output_item.added"),
        *("custom_tool_call_input.delta", "function_call_arguments.delta"),
        *("function_call_arguments.done", "output_item.done", "custom_tool_call_input.done", "output_item.done"),
        "completed",
    ]
    reason, function, custom = events(stream)[-1]["response"]["output"]
    assert reason["encrypted_content"] == "pm.anthropic.sig"
    assert reason["summary"] == [{"type": "summary_text", "text": "why"}]
    assert (function["call_id"], function["arguments"], function["name"]) == ("c0", "{}", "f")
    assert (custom["call_id"], custom["input"], custom["type"]) == ("c1", "x", "custom_tool_call")


def test_refusal_is_a_part_of_a_message() -> None:
    stream = streamed([RefusalPiece("no"), Finish("refusal"), Done()])
    assert kinds(stream)[3:6] == ["content_part.added", "refusal.delta", "refusal.done"]
    assert events(stream)[-1]["response"]["output"][0]["content"] == [{"type": "refusal", "refusal": "no"}]


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("length", "max_output_tokens"),
        ("pause", "max_output_tokens"),
        ("content_filter", "content_filter"),
        ("refusal", "content_filter"),  # without its text
    ],
)
def test_cut_answer_is_incomplete(reason: Any, told: str) -> None:
    pieces = [*texts(["a"]), Finish(reason), Done()]
    assert kinds(streamed(pieces))[-1] == "incomplete"
    response = json.loads(write_answer(CALL, NOW, pieces))
    assert response["status"] == response["output"][0]["status"] == "incomplete"
    assert response["incomplete_details"] == {"reason": told}


def test_response_repeats_the_request() -> None:
    call = asked(
        instructions="be brief",
        temperature=0.5,
        tools=[{"type": "function", "name": "f", "parameters": {"a": 1.50}, "strict": None}],
        tool_choice="required",
        text={"verbosity": "low"},
        reasoning={"effort": "low"},
        metadata={"a": "b"},
        max_output_tokens=9,
        store=False,
    )
    response = json.loads(
        write_answer(call, NOW, [Start("x1", "m-1"), UsagePiece(Usage(3, 2, 1, 1)), Finish("stop"), Done()])
    )
    given = {name: response[name] for name in ("instructions", "temperature", "tools", "tool_choice", "metadata")}
    assert given == {name: json.loads(bytes(call.fields[name])) for name in given}
    assert response["text"] == {"format": {"type": "text"}, "verbosity": "low"}
    assert response["reasoning"] == {"effort": "low", "summary": None}
    assert (response["store"], response["created_at"], response["model"]) == (False, int(NOW), "m-1")
    assert response["usage"] == {
        "input_tokens": 3,
        "input_tokens_details": {"cached_tokens": 1, "cache_write_tokens": 0},
        "output_tokens": 2,
        "output_tokens_details": {"reasoning_tokens": 1},
        "total_tokens": 5,
    }
    Response.model_validate(response)


@pytest.mark.parametrize("begun", [[], [Start("x1", "m"), *texts(["a"]), ToolBegin(0, "c", "f")]])
def test_error_fails_the_response_and_the_official_sdk_raises(begun: list[Piece]) -> None:
    writer = ResponseWriter(CALL, NOW)
    stream = writer.write(begun) + writer.error(Failure(failures.STALLED, "the stream stalled"), "req-1")
    last = events(stream)[-1]
    assert last["type"] == "response.failed"
    assert last["response"]["status"] == "failed"
    assert last["response"]["error"] == {"code": "server_error", "message": "the stream stalled (request req-1)"}
    for event in events(stream):
        EVENT.validate_python(event)
    assert writer.write([Done()]) == writer.error(Failure(failures.STALLED, "x"), "") == b""
    with pytest.raises(openai.APIError, match="stalled"):
        list(client(stream).responses.create(model="m", input="x", stream=True))


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (failures.UPSTREAM_RATE_LIMITED, "rate_limit_exceeded"),
        (failures.CONTEXT_TOO_LONG, "context_length_exceeded"),
        (failures.CONTENT_FILTERED, "invalid_prompt"),
    ],
)
def test_failed_response_has_a_known_code(kind: Kind, code: str) -> None:
    stream = ResponseWriter(CALL, NOW).error(Failure(kind, "m"), "")
    assert events(stream)[-1]["response"]["error"]["code"] == code


def test_citation_of_a_web_page_becomes_an_annotation() -> None:
    web = CitationPiece(Raw(b'{"x":1}'), "anthropic", "https://x.test", "X", 0, 1)
    other = CitationPiece(Raw(b'{"type":"char_location"}'), "anthropic")
    stream = streamed([TextPiece("", begins=True), web, other, TextPiece("a"), Finish("stop"), Done()])
    (part,) = events(stream)[-1]["response"]["output"][0]["content"]
    assert part["text"] == "a"
    annotation = {"type": "url_citation", "url": "https://x.test", "title": "X", "start_index": 0, "end_index": 1}
    assert part["annotations"] == [annotation]
    assert [piece for piece in read(stream) if isinstance(piece, CitationPiece)] == [
        CitationPiece(Raw(json.dumps(annotation, separators=(",", ":")).encode()), NAME, "https://x.test", "X", 0, 1)
    ]


def test_citation_counts_from_the_beginning_of_its_part() -> None:
    second = CitationPiece(Raw(b"{}"), "anthropic", "https://x.test", "X", 6, 9)
    stream = streamed([*texts(["a", "b"]), *texts(["c" * 9]), second, Finish("stop"), Done()])
    added = next(event for event in events(stream) if event["type"].endswith("annotation.added"))
    assert (added["annotation"]["start_index"], added["annotation"]["end_index"]) == (4, 7)
    assert [(piece.start, piece.end) for piece in read(stream) if isinstance(piece, CitationPiece)] == [(6, 9)]


def test_own_citation_is_kept() -> None:
    raw = Raw(b'{"type":"file_citation","file_id":"f","filename":"n","index":3}')
    stream = streamed([*texts(["a"]), CitationPiece(raw, NAME), Finish("stop"), Done()])
    assert CitationPiece(raw, NAME) in read(stream)


def test_log_probabilities_are_kept() -> None:
    one = b'[{"token":"a","logprob":-0.5,"bytes":[97],"top_logprobs":[]}]'
    stream = streamed([TextPiece("a", begins=True, logprobs=Raw(one)), Finish("stop"), Done()])
    assert TextPiece("a", begins=True, logprobs=Raw(one)) in read(stream)
    assert events(stream)[-1]["response"]["output"][0]["content"][0]["logprobs"] == json.loads(one)


def test_empty_text_begins_no_message() -> None:
    pieces: list[Piece] = [TextPiece("", begins=True), ToolBegin(0, "", "f"), Finish("tool_calls"), Done()]
    (call,) = json.loads(write_answer(CALL, NOW, pieces))["output"]
    assert call["arguments"] == "{}"
    assert call["call_id"].startswith("call_")


def test_calls_with_equal_ids_are_told_apart() -> None:
    pieces: list[Piece] = [ToolBegin(0, "c", "f"), ToolBegin(1, "c", "f"), Finish("tool_calls"), Done()]
    assert [call["call_id"] for call in json.loads(write_answer(CALL, NOW, pieces))["output"]] == ["c", "c_1"]


def test_response_has_an_id_without_one_of_the_provider() -> None:
    first, second = (json.loads(write_answer(CALL, now, [Done()]))["id"] for now in (NOW, NOW + 1))
    assert first != second
    assert first.startswith("resp_")
    long = json.loads(write_answer(CALL, NOW, [Start("x" * 80, "m"), *texts(["a"]), Done()]))
    assert len(long["output"][0]["id"]) <= 64


def test_failure_of_a_provider_is_left_to_the_gateway() -> None:
    assert streamed([Failed(b"{}")]) == b""
