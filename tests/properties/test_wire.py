"""Rules for every JSON body, every form and every stream."""

import json
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fakes.wire import drain, rejected
from pointsman.domain.failures import Rejection
from pointsman.domain.outcomes import Usage
from pointsman.providers._openai_errors import MAX_WAIT_S, classify, retry_after_s
from pointsman.providers._openai_stream import OpenAIStream
from pointsman.wire.json_object import encode_object, read_object
from pointsman.wire.sse import EventSplitter

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXT, inner, max_size=4),
    max_leaves=12,
)
_SPACE = st.text(" \t\r\n", max_size=3)


@st.composite
def _objects(draw: st.DrawFn) -> tuple[list[tuple[str, Any]], bytes]:
    """Draw the items of an object and one way to write it, with any white space, and keys escaped or not."""
    items = list(draw(st.dictionaries(_TEXT, _VALUES, max_size=6)).items())
    return items, _written(draw, items)


def _written(draw: st.DrawFn, items: list[tuple[str, Any]]) -> bytes:
    def space() -> str:
        return draw(_SPACE)

    indent = draw(st.sampled_from([None, 1]))
    members = []
    for key, value in items:
        name = json.dumps(key, ensure_ascii=draw(st.booleans()))
        text = json.dumps(value, ensure_ascii=draw(st.booleans()), indent=indent)
        members.append(f"{space()}{name}{space()}:{space()}{text}{space()}")
    return f"{space()}{{{','.join(members) or space()}}}{space()}".encode()


@given(_objects())
def test_rewritten_body_has_the_same_meaning(drawn: tuple[list[tuple[str, Any]], bytes]) -> None:
    items, body = drawn
    assert list(json.loads(encode_object(read_object(body))).items()) == items


@given(st.data())
def test_duplicate_key_is_rejected_at_any_place(data: st.DataObject) -> None:
    items = list(data.draw(st.dictionaries(_TEXT, _VALUES, min_size=1, max_size=6)).items())
    key, value = data.draw(st.sampled_from(items))
    again = data.draw(st.just(value) | _VALUES)
    items.insert(data.draw(st.integers(0, len(items))), (key, again))
    body = data.draw(st.composite(lambda draw: _written(draw, items))())
    assert rejected(lambda: read_object(body)).param == key


@given(st.binary(max_size=60) | _objects().map(lambda drawn: drawn[1]), st.integers(0, 60), st.binary(max_size=2))
def test_any_bytes_are_an_object_or_a_rejection(body: bytes, at: int, put: bytes) -> None:
    changed = body[:at] + put + body[at:]
    try:
        fields = read_object(changed)
    except Rejection:
        return
    assert list(json.loads(changed)) == list(fields)


@given(st.lists(st.sampled_from([b"data: a", b": c", b"event: x", b""]), max_size=8), st.data())
def test_events_do_not_depend_on_the_split_of_lines(lines: list[bytes], data: st.DataObject) -> None:
    end = data.draw(st.sampled_from([b"\n", b"\r\n", b"\r"]))
    stream = b"".join(line + end for line in lines)
    splitter = EventSplitter()
    whole = b""
    while stream:
        at = data.draw(st.integers(1, len(stream)))
        out = splitter.feed(stream[:at])
        assert not out or out.endswith(b"\n\n")
        whole += out
        stream = stream[at:]
    assert whole + splitter.rest() == b"".join(line + b"\n" for line in lines)
    assert b"\n\n" not in splitter.rest()


@given(_TEXT, st.booleans())
def test_no_text_can_confuse_the_stream_decoder(text: str, is_ascii: bool) -> None:
    tricks = ["", '"usage":{"prompt_tokens":9}', '"error":{}', '"finish_reason":"stop"', "data: [DONE]\n\n"]
    events = b""
    for trick in tricks:
        chunk = {"choices": [{"index": 0, "delta": {"content": text + trick + text}, "finish_reason": None}]}
        events += b"data: " + json.dumps(chunk, ensure_ascii=is_ascii).encode() + b"\n\n"
    decoder = OpenAIStream(keep_usage=False)
    assert drain(decoder, [events[:40], events[40:]]) == events
    assert (decoder.usage, decoder.is_done) == (None, False)
    assert decoder.failure is not None
    assert decoder.failure.kind.code == "truncated"


_TRICKS = st.sampled_from(
    ["word", 'a "quote"', "[DONE]", "error", "usage", "\n\ndata: [DONE]\n\n", "\\", "finish_reason"]
)


@given(st.lists(_TRICKS | _TEXT, min_size=1), st.data(), st.booleans())
def test_stream_does_not_depend_on_the_split_of_events(
    texts: list[str], data: st.DataObject, has_reasoning: bool
) -> None:
    separators = data.draw(st.sampled_from([(",", ":"), (", ", ": ")]))

    def event(usage: object = None, **choice: Any) -> bytes:
        chunk = {"id": "x", "choices": [{"index": 0, **choice}], "usage": usage}
        return b"data: " + json.dumps(chunk, separators=separators).encode() + b"\n\n"

    events = [event(delta={"content": text}, finish_reason=None) for text in texts]
    if has_reasoning:
        events.insert(0, event(delta={"reasoning_content": texts[0]}, finish_reason=None))
        events.insert(0, event(delta={"reasoning_content": "so"}, finish_reason=None))
    end = [
        event(delta={"content": "end"}, finish_reason="stop"),
        event({"prompt_tokens": 1, "completion_tokens": 2}, delta={}),
    ]
    sent = b"".join((*events, *end, b"data: [DONE]\n\n"))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(sent)), max_size=6)))
    pieces = [sent[at:to] for at, to in pairwise([0, *cuts, len(sent)])]
    for given_pieces in (pieces, [*events, *end, b"data: [DONE]\n\n"]):
        decoder = OpenAIStream(keep_usage=True)
        assert drain(decoder, [piece for piece in given_pieces if piece]) == sent
        assert (decoder.usage, decoder.is_done, decoder.failure) == (Usage(1, 2), True, None)


@given(st.sampled_from([b"retry-after", b"retry-after-ms", b"x-ratelimit-reset-tokens"]), st.binary(max_size=30))
def test_any_header_gives_a_bounded_wait_or_none(name: bytes, value: bytes) -> None:
    wait_s = retry_after_s({name: value, b"x-ratelimit-remaining-tokens": b"0"}, 1.7e9)
    assert wait_s is None or 0 <= wait_s <= MAX_WAIT_S


@given(st.integers(300, 599), _VALUES | st.dictionaries(st.sampled_from(["error", "message", "detail"]), _VALUES))
def test_any_error_body_is_classified(status: int, body: object) -> None:
    failure = classify(status, {}, json.dumps(body).encode(), 0.0)
    assert failure.status == status
    assert len(failure.message) < 600
