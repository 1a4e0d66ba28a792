"""Streams in OpenAI's dialect are passed on unchanged and read only as far as necessary."""

import json
from typing import Any

import pytest

from fakes.corpora import recorded
from fakes.wire import drain, halves
from pointsman.domain import failures
from pointsman.domain.outcomes import Usage
from pointsman.providers._openai_stream import OpenAIStream
from pointsman.wire.sse import split_events

DONE = b"data: [DONE]\n\n"


def event(delta: dict[str, Any] | None = None, finish: str | None = None, index: int = 0, **more: Any) -> bytes:
    choices = [] if delta is None else [{"index": index, "delta": delta, "finish_reason": finish}]
    return b"data: " + json.dumps({"id": "x", "choices": choices, **more}, separators=(",", ":")).encode() + b"\n\n"


USAGE = {
    "prompt_tokens": 7,
    "completion_tokens": 5,
    "total_tokens": 12,
    "prompt_tokens_details": {"cached_tokens": 3, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 2},
}
ROLE = event({"role": "assistant", "content": ""}, usage=None)
HELLO = event({"content": "hello"}, usage=None)
WORLD = event({"content": " world"}, usage=None)
STOP = event({}, "stop", usage=None)
BILL = event(usage=USAGE)
COMMENT = b": keep-alive\n\n"
STREAM = ROLE + COMMENT + HELLO + WORLD + STOP + BILL + DONE


def stream(*, keep_usage: bool = False, choices: int = 1) -> OpenAIStream:
    return OpenAIStream(keep_usage=keep_usage, choices=choices)


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("keep_usage", [True, False])
@pytest.mark.parametrize(
    ("sent", "without_usage"),
    [
        (STREAM, STREAM.replace(BILL, b"")),
        (STREAM.removesuffix(DONE), STREAM.replace(BILL, b"")),
        (STREAM.removesuffix(b"\n\n"), STREAM.replace(BILL, b"")),
        (HELLO + STOP + COMMENT * 5, HELLO + STOP + COMMENT * 5 + DONE),
    ],
)
def test_every_split_gives_the_same_stream(sent: bytes, without_usage: bytes, end: bytes, keep_usage: bool) -> None:
    expected = without_usage.replace(DONE, BILL + DONE) if keep_usage and BILL in sent else without_usage
    for pieces in halves(sent.replace(b"\n", end)):
        decoder = stream(keep_usage=keep_usage)
        assert drain(decoder, pieces) == expected
        assert (decoder.is_done, decoder.has_content, decoder.failure) == (True, True, None)
        assert decoder.usage == (Usage(7, 5, 3, 2) if BILL in sent else None)


def test_stream_cut_before_its_finish_is_truncated() -> None:
    whole = ROLE + HELLO + WORLD + STOP
    for at in range(len(whole) - len(STOP)):
        for pieces in ([whole[:at]], [whole[: at // 2], whole[at // 2 : at]]):
            decoder = stream()
            drain(decoder, pieces)
            assert decoder.failure is not None
            assert decoder.failure.kind is failures.TRUNCATED
            assert not decoder.is_done
    decoder = stream()
    assert drain(decoder, [whole]) == whole + DONE
    assert decoder.failure is None


def test_finished_stream_without_done_is_whole() -> None:
    sent = HELLO + STOP + b"data: [DO"
    decoder = stream()
    assert drain(decoder, [sent]) == HELLO + STOP + DONE
    assert decoder.failure is None


@pytest.mark.parametrize("texts", [True, False])
def test_done_does_not_finish_one_of_several_answers(texts: bool) -> None:
    def part(index: int, finish: str | None = None) -> bytes:
        if not texts:
            return event({"content": "x"}, finish, index)
        choice = {"index": index, "text": "x", "finish_reason": finish}
        return b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n"

    both_begun = part(0) + part(0) + part(1) + part(1)
    for end, code in (
        (part(0, "stop"), "truncated"),
        (part(1, "stop"), "truncated"),
        (part(0, "stop") + part(1, "stop"), None),
        (b"", None),  # a server that never gives a reason
    ):
        for pieces in halves(both_begun + end + DONE):
            decoder = OpenAIStream(keep_usage=True, choices=2)
            drain(decoder, pieces)
            assert (decoder.failure.kind.code if decoder.failure is not None else None) == code, end
            assert decoder.events >= 4
    alone = OpenAIStream(keep_usage=True, choices=2)
    assert drain(alone, [part(0) + part(0, "stop") + DONE]).endswith(DONE), "some servers make one answer of two"
    assert alone.failure is None


def test_all_answers_must_have_finished() -> None:
    first, second = event({}, "stop", 0), event({}, "length", 1)
    both = event({"content": "a"}, index=0) + event({"content": "b"}, index=1)
    for pieces in halves(both + first):
        decoder = stream(choices=2)
        drain(decoder, pieces)
        assert decoder.failure is not None
    for pieces in halves(both + first + event({"content": "c"}, index=1) + second):
        decoder = stream(choices=2)
        assert drain(decoder, pieces).endswith(second + DONE)
        assert decoder.failure is None


@pytest.mark.parametrize(
    "sent",
    [
        ROLE,
        COMMENT,
        event(usage=USAGE),
        event({"content": None}),
        event({"tool_calls": []}),
        b"event: ping\n\n",
        event(),
    ],
)
def test_empty_deltas_are_not_content(sent: bytes) -> None:
    decoder = stream()
    decoder.feed(sent)
    assert not decoder.has_content
    assert decoder.failure is None


@pytest.mark.parametrize(
    "delta",
    [
        {"content": "x"},
        {"content": [{"type": "thinking", "thinking": []}]},
        {"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": ""}}]},
        {"function_call": {"name": "f"}},
        {"refusal": "no"},
        {"reasoning_content": "hm"},
        {"reasoning": "hm"},
        {"reasoning_details": [{"type": "reasoning.text"}]},
        {"audio": {"data": "AA=="}},
        {"images": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]},
        {"something_new": 0},
    ],
)
def test_deltas_with_values_are_content(delta: dict[str, Any]) -> None:
    decoder = stream()
    assert decoder.feed(ROLE + event(delta)) == ROLE + event(delta)
    assert decoder.has_content
    assert not decoder.is_done


def test_text_completions_and_regular_ends_are_content() -> None:
    text = b'data: {"choices":[{"index":0,"text":"x","finish_reason":null}]}\n\n'
    for sent in (text, STOP, HELLO + DONE, event({}, "content_filter")):
        decoder = stream()
        decoder.feed(sent)
        assert decoder.has_content
    decoder = stream()
    decoder.feed(b'data: {"choices":[{"index":0,"text":"","finish_reason":null}]}\n\n')
    assert not decoder.has_content


@pytest.mark.parametrize("keep_usage", [True, False])
def test_usage_beside_content_is_passed_on_and_read(keep_usage: bool) -> None:
    last = event({"content": "!"}, "stop", usage=USAGE)
    for pieces in halves(HELLO + last + DONE):
        decoder = stream(keep_usage=keep_usage)
        assert drain(decoder, pieces) == HELLO + last + DONE
        assert decoder.usage == Usage(7, 5, 3, 2)


@pytest.mark.parametrize("keep_usage", [True, False])
@pytest.mark.parametrize(
    "last",
    [
        event({}, "stop", x_groq={"id": "req_1", "usage": USAGE}),
        event({}, "stop").replace(b'"finish_reason"', b'"usage":' + json.dumps(USAGE).encode() + b',"finish_reason"'),
    ],
    ids=["groq", "moonshot"],
)
def test_usage_in_another_place_is_read_and_passed_on(last: bytes, keep_usage: bool) -> None:
    decoder = stream(keep_usage=keep_usage)
    assert drain(decoder, [ROLE + HELLO, last, DONE]) == ROLE + HELLO + last + DONE
    assert decoder.usage == Usage(7, 5, 3, 2)
    decoder = stream(keep_usage=True)
    drain(decoder, [ROLE + HELLO, last, event(usage={"prompt_tokens": 8}), DONE])
    assert decoder.usage == Usage(8), "the usual place comes first"


def test_latest_usage_of_every_chunk_counts() -> None:
    counted = [event({"content": "x"}, usage={"prompt_tokens": 3, "completion_tokens": count}) for count in (1, 2, 3)]
    decoder = stream()
    for sent in counted:
        assert decoder.feed(sent) == sent
    assert decoder.usage == Usage(3, 3)


@pytest.mark.parametrize(
    "usage", [[1], "12", {"prompt_tokens": "12"}, {"prompt_tokens": -1}, {"prompt_tokens": 1e30}, 7]
)
def test_malformed_usage_does_not_invalidate_answer(usage: object) -> None:
    decoder = stream()
    assert drain(decoder, [HELLO, event(usage=USAGE), event(usage=usage), STOP, DONE]) == HELLO + STOP + DONE
    assert (decoder.failure, decoder.usage) == (None, Usage(7, 5, 3, 2))


def test_nulls_in_usage_count_as_zero() -> None:
    decoder = stream()
    empty = {"prompt_tokens": 4, "completion_tokens": None, "prompt_tokens_details": None}
    drain(decoder, [HELLO, event(usage=empty), STOP, DONE])
    assert decoder.usage == Usage(4)


@pytest.mark.parametrize("before", [b"", ROLE, HELLO])
@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b'{"error":{"message":"boom","code":"server_error"}}', failures.UPSTREAM_ERROR),
        (b'{"error": {"message": "slow down", "code": 429}, "choices": []}', failures.UPSTREAM_RATE_LIMITED),
        (b'{"error":"plain words"}', failures.UPSTREAM_ERROR),
        (b'{"type":"error","message":"flat"}', failures.UPSTREAM_ERROR),
        (b'{"choices":[{"delta":{"content":"x"},"finish_reason":"error"}]}', failures.UPSTREAM_ERROR),
    ],
)
def test_error_ends_the_stream(before: bytes, data: bytes, kind: failures.Kind) -> None:
    decoder = stream()
    out = drain(decoder, [before, b"event: error\ndata: " + data + b"\n\n" + HELLO + DONE])
    assert decoder.failure is not None
    assert decoder.failure.kind is kind
    assert out == before
    assert decoder.has_content is (before == HELLO)


BROKEN = [
    HELLO[:30] + b"\n\n",
    HELLO[:-4] + b"\n\n",
    HELLO[:30] + WORLD,
    b"data: not json\n\n",
    b"data: [1]\n\n",
    b'data: {"choices":{}}\n\n',
    b"data: " + b"[" * 100_000 + b"\n\n",
]


@pytest.mark.parametrize("broken", BROKEN)
@pytest.mark.parametrize("before", [b"", ROLE, HELLO])
def test_one_unreadable_event_is_dropped(broken: bytes, before: bytes) -> None:
    sent = before + broken + WORLD + STOP + DONE
    for pieces in halves(sent) if len(sent) < 2000 else [[sent], [sent[:999], sent[999:]]]:
        decoder = stream()
        assert drain(decoder, pieces) == before + WORLD + STOP + DONE
        assert (decoder.events_left_out, decoder.failure, decoder.is_done) == (1, None, True)


@pytest.mark.parametrize("end", [b"", DONE])
def test_stream_with_dropped_event_needs_a_finish_reason(end: bytes) -> None:
    decoder = stream()
    drain(decoder, [HELLO, BROKEN[0], WORLD, end])
    assert decoder.failure is not None
    assert decoder.failure.kind is failures.TRUNCATED


@pytest.mark.parametrize("broken", BROKEN)
def test_second_unreadable_event_ends_the_stream(broken: bytes) -> None:
    both = broken + WORLD + broken + WORLD
    for pieces in ([HELLO, broken, WORLD, broken, WORLD], [HELLO, both], [HELLO + both]):
        decoder = stream()
        assert drain(decoder, pieces) == HELLO + WORLD
        assert decoder.failure is not None
        assert decoder.failure.kind is failures.MALFORMED_ANSWER
        assert decoder.events == 2


HEARTBEATS = [b"data:\n\n", b"data: \n\n", b"event: ping\n\n", b"event: ping\ndata:\n\n", b"id: 7\n\n", b"retry: 9\n\n"]


@pytest.mark.parametrize("heartbeat", HEARTBEATS)
def test_heartbeats_become_comments(heartbeat: bytes) -> None:
    for pieces in halves(heartbeat + ROLE + heartbeat + HELLO + heartbeat + WORLD + heartbeat + STOP + DONE):
        decoder = stream()
        out = drain(decoder, pieces)
        assert out == b":\n\n" + ROLE + b":\n\n" + HELLO + b":\n\n" + WORLD + b":\n\n" + STOP + DONE
        assert (decoder.failure, decoder.events, decoder.events_left_out) == (None, 2, 0)


def test_halves_of_surrogate_pairs_pass() -> None:
    first, second = HELLO.replace(b"hello", b"\\ud83d"), HELLO.replace(b"hello", b'\\ude00 \\"x\\"')
    for pieces in halves(ROLE + first + second + HELLO + first + STOP + DONE):
        decoder = stream()
        assert drain(decoder, pieces) == b"".join(pieces)
        assert (decoder.failure, decoder.events_left_out, decoder.events) == (None, 0, 4)
    last = event({"content": "x"}, "stop").replace(b'"x"}', b'"\\ud83d"}')
    decoder = stream()
    assert drain(decoder, [last]) == last + DONE
    assert decoder.is_finished


def test_done_without_content_is_malformed() -> None:
    for sent in (DONE, ROLE + DONE, BILL + DONE, COMMENT + DONE):
        decoder = stream()
        drain(decoder, [sent])
        assert decoder.failure is not None
        assert decoder.failure.kind is failures.MALFORMED_ANSWER


def test_finish_is_known_before_the_end() -> None:
    decoder = stream(choices=2)
    decoder.feed(HELLO + event({}, "stop", 0))
    assert not decoder.is_ending
    decoder.feed(event({}, "stop", 1))
    assert (decoder.is_finished, decoder.is_ending, decoder.is_done) == (True, True, False)


def test_empty_errors_are_ignored() -> None:
    values: list[object] = [None, "", {}, []]
    for nothing in values:
        decoder = stream()
        sent = event({"content": "x"}, error=nothing)
        assert decoder.feed(sent) == sent
        assert decoder.failure is None


def test_field_names_inside_text_are_ignored() -> None:
    tricks = [
        '"usage":{"prompt_tokens":1}',
        '{"error":{}}',
        "data: [DONE]\n\n",
        "usage",
        "error",
        '"finish_reason":"stop"',
    ]
    sent = b"".join(event({"content": trick}) for trick in tricks)
    for pieces in ([ROLE + HELLO, sent], [ROLE + HELLO + sent], [sent]):
        decoder = stream()
        assert drain(decoder, pieces).endswith(sent)
        assert (decoder.usage, decoder.is_done) == (None, False)
        assert decoder.failure is not None
        assert decoder.failure.kind is failures.TRUNCATED


def test_plain_event_waits_for_buffered_bytes() -> None:
    for held in (b"event: message\n", b"event: message\r"):
        decoder = stream()
        assert decoder.feed(ROLE + HELLO) == ROLE + HELLO
        assert decoder.feed(HELLO) == HELLO
        assert decoder.feed(held) == b""
        assert decoder.feed(WORLD) == b"event: message\n" + WORLD


def test_only_whole_plain_events_are_passed_on_unread() -> None:
    def used_to(hello: bytes) -> OpenAIStream:
        decoder = stream(keep_usage=True)
        assert decoder.feed(hello) + decoder.feed(hello) + decoder.feed(hello) == hello * 3
        return decoder

    decoder = used_to(HELLO)
    assert decoder.feed(WORLD[:-1]) + decoder.feed(WORLD[-1:]) == WORLD
    assert decoder.feed(WORLD + BILL + WORLD) == WORLD + BILL + WORLD
    assert decoder.usage == Usage(7, 5, 3, 2)
    decoder = used_to(HELLO.replace(b'"id":"x"', b'"id":"xy"'))
    assert decoder.feed(HELLO.replace(b'"id":"x"', b'"error":1')) == b""
    assert decoder.failure is not None


def test_nothing_after_the_end_is_passed_on() -> None:
    decoder = stream()
    assert decoder.feed(HELLO + STOP + DONE + WORLD) == HELLO + STOP + DONE
    assert decoder.is_done
    assert decoder.close() == b""


def test_event_of_some_megabytes_passes() -> None:
    image = event({"images": [{"image_url": {"url": "A" * 9_000_000}}]})
    decoder = stream()
    out = drain(decoder, [ROLE, *(image[at : at + 65536] for at in range(0, len(image), 65536)), STOP, DONE])
    assert out == ROLE + image + STOP + DONE
    assert decoder.has_content


def test_event_above_the_limit_is_malformed() -> None:
    decoder = OpenAIStream(keep_usage=False, max_event_bytes=4096)
    decoder.feed(HELLO)
    for _ in range(5):
        decoder.feed(b"x" * 1024)
    assert decoder.failure is not None
    assert decoder.failure.kind is failures.MALFORMED_ANSWER


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
def test_finish_is_recognized_in_any_spelling(separators: tuple[str, str]) -> None:
    finished = {"choices": [{"index": 0, "finish_reason": "stop", "delta": {}}]}
    sent = b"data: " + json.dumps(finished, separators=separators).encode() + b"\n\n"
    decoder = stream()
    assert drain(decoder, [HELLO, sent, COMMENT, COMMENT, COMMENT]) == HELLO + sent + COMMENT * 3 + DONE


def test_recorded_streams_give_finish_and_usage() -> None:
    seen = 0
    for exchange in recorded("/chat/completions", is_stream=True):
        chunks = [json.loads(line[6:]) for line in exchange.body.split(b"\n") if line.startswith(b"data: {")]
        billed = [chunk["usage"] for chunk in chunks if chunk.get("usage")]
        billed = billed or [chunk["x_groq"]["usage"] for chunk in chunks if "usage" in chunk.get("x_groq", {})]
        for piece_size in (1, 7, 1000, len(exchange.body)):
            pieces = [exchange.body[at : at + piece_size] for at in range(0, len(exchange.body), piece_size)]
            complete = stream(keep_usage=True)
            out = drain(complete, pieces)
            assert (complete.failure, complete.is_done, complete.has_content) == (None, True, True), exchange.uri
            assert _events(out) == _events(exchange.body.partition(DONE)[0] + DONE), exchange.uri
            stripped = stream()
            rest = drain(stripped, pieces)
            assert stripped.usage == complete.usage
            only_usage = [chunk for chunk in chunks if chunk.get("usage") and not chunk["choices"]]
            assert len(_events(out)) - len(_events(rest)) == len(only_usage)
        if billed:
            assert complete.usage is not None
            assert complete.usage.tokens_in == billed[-1]["prompt_tokens"]
            assert complete.usage.tokens_out == billed[-1]["completion_tokens"]
        else:
            assert complete.usage is None
        seen += 1
    assert seen >= 5


def _events(data: bytes) -> list[bytes]:
    return [item.strip(b"\n") for item in split_events(data.replace(b"\r\n", b"\n"))]


def padded(text: str, padding: str, finish: str | None = None, **more: Any) -> bytes:
    """Return an event as OpenAI sends it, with padding that hides the length of its text."""
    return event({"content": text}, finish, usage=None, **more, obfuscation=padding)


def test_padded_events_are_passed_on_and_relevant_ones_are_read() -> None:
    sent = [padded("a", "x1"), padded("b", ""), padded("c", "y" * 30), padded(' "quoted" ', "z"), padded("d", "w")]
    ends = [padded("e", "v", "stop"), event(usage=USAGE), DONE]
    decoder = stream()
    assert [decoder.feed(each) for each in sent] == sent
    assert (decoder.events, decoder.usage, decoder.is_done) == (5, None, False)
    assert [decoder.feed(each) for each in ends] == [ends[0], b"", DONE]
    assert (decoder.events, decoder.usage, decoder.is_done) == (6, Usage(7, 5, 3, 2), True)


def test_fields_between_text_and_padding_are_read() -> None:
    decoder = stream()
    for each in (padded("a", "x"), padded("b", "y")):
        decoder.feed(each)
    with_error = padded("c", "z").replace(b'"usage":null', b'"error":{"message":"broken"},"usage":null')
    assert decoder.feed(with_error) == b""
    assert decoder.failure is not None


def test_usage_in_place_of_padding_is_read() -> None:
    decoder = stream(keep_usage=True)
    for each in (padded("a", "x"), padded("b", "y")):
        decoder.feed(each)
    bill = event({"content": "c"}, usage=USAGE, obfuscation="z")
    assert decoder.feed(bill) == bill
    assert decoder.usage == Usage(7, 5, 3, 2)
