"""Streams of typed events are judged by their last event and passed on unchanged."""

import json
from typing import Any

import pytest

from fakes.corpora import recorded
from fakes.wire import drain, halves
from pointsman.domain import failures
from pointsman.domain.failures import Failure
from pointsman.domain.operations import Operation
from pointsman.domain.outcomes import Usage
from pointsman.providers._typed_stream import TypedStream

DONE = b"data: [DONE]\n\n"
COUNTS = {"input_tokens": 7, "output_tokens": 5}


def event(kind: str, number: int = 0, *, named: bool = True, **fields: Any) -> bytes:
    data = json.dumps({"type": kind, "sequence_number": number, **fields}, separators=(",", ":")).encode()
    return (b"event: %b\n" % kind.encode() if named else b"") + b"data: %b\n\n" % data


CREATED = event("response.created", 0, response={"id": "r", "status": "in_progress", "error": None, "usage": None})
ADDED = event("response.output_item.added", 1, item={"id": "m"})
HELLO = event("response.output_text.delta", 2, delta="hello")
WORLD = event("response.output_text.delta", 3, delta=" world")
COMPLETED = event("response.completed", 4, response={"id": "r", "status": "completed", "error": None, "usage": COUNTS})
WHOLE = CREATED + ADDED + HELLO + WORLD + COMPLETED
FAILED = event("response.failed", 4, response={"status": "failed", "error": {"code": "server_error", "message": "x"}})


def stream(operation: Operation = "responses", choices: int = 1) -> TypedStream:
    return TypedStream(operation, choices=choices)


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("after", [b"", DONE])
def test_every_split_gives_the_same_stream(end: bytes, after: bytes) -> None:
    for pieces in halves((WHOLE + after).replace(b"\n", end)):
        decoder = stream()
        assert drain(decoder, pieces) == WHOLE + after
        assert (decoder.is_done, decoder.is_finished, decoder.failure) == (True, True, None)
        assert (decoder.usage, decoder.events) == (Usage(7, 5), 2)


def test_stream_cut_before_its_last_event_is_truncated() -> None:
    for at in range(len(WHOLE) - 2):
        for pieces in ([WHOLE[:at]], [WHOLE[: at // 2], WHOLE[at // 2 : at]]):
            decoder = stream()
            drain(decoder, pieces)
            assert decoder.failure is not None, at
            assert decoder.failure.kind is failures.TRUNCATED


@pytest.mark.parametrize("kind", ["response.completed", "response.incomplete", "response.cancelled"])
def test_last_events_end_a_response(kind: str) -> None:
    decoder = stream()
    decoder.feed(HELLO + event(kind, response={}))
    assert (decoder.is_finished, decoder.is_ending, decoder.is_done) == (True, True, False)


def test_done_replaces_last_event_only_on_lenient_paths() -> None:
    cases: tuple[tuple[Operation, bool], ...] = (("responses", False), ("audio", True), ("other", True))
    for operation, is_whole in cases:
        decoder = stream(operation)
        drain(decoder, [event("transcript.text.delta", delta="x"), DONE])
        assert (decoder.failure is None) is is_whole
    decoder = stream("other")
    drain(decoder, [event("thread.run.queued"), b"event: done\n" + DONE])
    assert decoder.failure is not None


def test_each_of_several_images_must_arrive() -> None:
    completed = event("image_generation.completed", b64_json="AA==", usage=COUNTS)
    for count in range(4):
        decoder = stream("image", choices=3)
        drain(decoder, [event("image_generation.partial_image", b64_json="AA==")] + [completed] * count)
        assert (decoder.failure is None) == (count == 3)
    assert decoder.usage == Usage(7, 5)


@pytest.mark.parametrize("sent", [CREATED, CREATED + ADDED, b": comment\n\n", event("response.content_part.added")])
def test_preamble_is_not_content(sent: bytes) -> None:
    decoder = stream()
    assert decoder.feed(sent) == sent
    assert (decoder.has_content, decoder.failure) == (False, None)


@pytest.mark.parametrize(
    "kind",
    ["response.output_text.delta", "response.web_search_call.searching", "response.new_thing", "response.completed"],
)
def test_other_events_are_content(kind: str) -> None:
    for named in (True, False):
        decoder = stream()
        decoder.feed(event(kind, named=named))
        assert decoder.has_content


@pytest.mark.parametrize("before", [b"", CREATED, HELLO, HELLO + WORLD])
@pytest.mark.parametrize(
    ("sent", "kind"),
    [
        (FAILED, failures.UPSTREAM_ERROR),
        (event("response.failed", response={"error": None}), failures.UPSTREAM_ERROR),
        (event("error", code="rate_limit_exceeded", message="x"), failures.UPSTREAM_RATE_LIMITED),
        (event("error", error={"code": "rate_limit_exceeded", "message": "x"}), failures.UPSTREAM_RATE_LIMITED),
        (b'data: {"error":{"message":"x","code":"server_error"}}\n\n', failures.UPSTREAM_ERROR),
        (b'event: error\ndata: {"message":"x"}\n\n', failures.UPSTREAM_ERROR),
    ],
)
def test_error_ends_the_stream_and_is_not_passed_on(before: bytes, sent: bytes, kind: failures.Kind) -> None:
    for pieces in ([before + sent + WORLD], [before, sent, WORLD]):
        decoder = stream()
        assert drain(decoder, pieces) == before
        assert decoder.failure is not None
        assert decoder.failure.kind is kind
        assert decoder.has_content is (HELLO in before)


def test_first_unreadable_event_is_dropped_and_second_fails() -> None:
    broken = b'data: {"type":"response.out\n\n'
    decoder = stream()
    assert drain(decoder, [HELLO, broken, WORLD, COMPLETED]) == HELLO + WORLD + COMPLETED
    assert (decoder.events_left_out, decoder.failure) == (1, None)
    decoder = stream()
    assert drain(decoder, [HELLO, broken, WORLD, broken, COMPLETED]) == HELLO + WORLD
    assert decoder.failure is not None
    assert decoder.failure.kind is failures.MALFORMED_ANSWER


def test_event_named_like_the_last_is_read() -> None:
    decoder = stream()
    decoder.feed(HELLO + WORLD)
    assert decoder.feed(WORLD) == WORLD
    assert decoder.feed(WORLD[:-1]) + decoder.feed(WORLD[-1:]) == WORLD
    assert decoder.feed(WORLD + HELLO) == WORLD + HELLO
    assert decoder.events == 6
    assert decoder.feed(WORLD.replace(b"delta", b"gamma", 1)) == WORLD.replace(b"delta", b"gamma", 1)
    assert decoder.feed(WORLD[:60] + b"\n\n") == b""
    assert decoder.events_left_out == 1
    with_error = WORLD.replace(b'"delta":', b'"error":{"message":"x"},"delta":')
    assert decoder.feed(with_error) == b""
    assert decoder.failure is not None


def test_heartbeats_become_comments() -> None:
    decoder = stream()
    assert drain(decoder, [HELLO, b"data:\n\n", b"event: ping\n\n", COMPLETED]) == HELLO + b":\n\n:\n\n" + COMPLETED


def test_error_event_continues_the_sequence_of_events() -> None:
    decoder = stream()
    decoder.feed(CREATED + HELLO + WORLD)
    sent = decoder.error_event(Failure(failures.STALLED, "too slow"), "id-1")
    assert sent.startswith(b"event: response.failed\ndata: ")
    assert sent.endswith(b"\n\n")
    event = json.loads(sent.partition(b"data: ")[2])
    assert (event["type"], event["sequence_number"]) == ("response.failed", 4)
    assert event["response"]["status"] == "failed"
    assert event["error"]["code"] == "stream_stalled"
    assert event["error"]["message"] == "too slow (request id-1)", "official SDKs raise on `error`"
    early = stream().error_event(Failure(failures.STALLED, "x"), "i")
    assert json.loads(early.partition(b"data: ")[2])["sequence_number"] == 0


def test_recorded_streams_are_whole_and_cuts_are_detected() -> None:
    seen = 0
    for exchange in recorded("/responses", is_stream=True):
        if exchange.status != 200 or b"response.completed" not in exchange.body:
            continue
        body = exchange.body.replace(b"\r\n", b"\n")
        for size in (7, 1000, len(body)):
            decoder = stream()
            out = drain(decoder, [body[at : at + size] for at in range(0, len(body), size)])
            assert (decoder.failure, decoder.is_done) == (None, True), exchange.uri
            assert out.rstrip() == body.rstrip()
            assert decoder.usage is not None
        last = body.rfind(b"event: response.completed")
        for at in range(0, last, max(1, last // 50)):
            decoder = stream()
            drain(decoder, [body[:at]])
            assert decoder.failure is not None
        seen += 1
    assert seen
