"""Ids that streams tell of, however their bytes were cut."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.wire import state_streams
from pointsman.wire.state_streams import StateStream


def event(name: str | None, value: dict[str, Any], end: bytes = b"\n") -> bytes:
    head = b"event: " + name.encode() + end if name is not None else b""
    return head + b"data: " + json.dumps(value).encode() + end + end


def response_stream(end: bytes = b"\n", *, is_named: bool = True) -> bytes:
    begun = {"id": "resp_1", "object": "response", "output": []}
    delta = {"type": "response.output_text.delta", "delta": "response.output_item.added "}
    steps: list[tuple[str, dict[str, Any]]] = [
        ("response.created", {"response": begun}),
        ("response.in_progress", {"response": begun}),
        ("response.output_item.added", {"item": {"id": "rs_1", "type": "reasoning"}}),
        *[("response.output_text.delta", delta)] * 5,
        ("response.output_item.added", {"item": {"id": "ci_1", "type": "x", "container_id": "cntr_1"}}),
        *[("response.output_text.delta", delta)] * 5,
        ("response.completed", {"response": {**begun, "output": []}}),
    ]
    return b"".join(event(name if is_named else None, {"type": name, **value}, end) for name, value in steps)


STREAMS = [response_stream(end, is_named=is_named) for end in (b"\n", b"\r\n") for is_named in (True, False)]
TOLD = {("response", "resp_1"), ("item", "rs_1"), ("item", "ci_1"), ("container", "cntr_1")}


def told(pieces: list[bytes], *, has_items: bool = True) -> tuple[str | None, set[tuple[str, str]]]:
    stream = StateStream(has_items=has_items)
    found = {one for piece in pieces for one in stream.feed(piece)}
    return stream.made, found


@pytest.mark.parametrize("stream", STREAMS)
def test_a_response_is_read_at_every_cut(stream: bytes) -> None:
    for cut in range(len(stream)):
        assert told([stream[:cut], stream[cut:]]) == ("resp_1", TOLD), cut


@given(st.data())
def test_a_response_is_read_in_pieces_of_any_size(data: st.DataObject) -> None:
    stream = data.draw(st.sampled_from(STREAMS))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=30)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert told(pieces) == ("resp_1", TOLD)


def test_the_id_is_known_when_the_first_event_is_whole() -> None:
    stream, first = StateStream(has_items=True), STREAMS[0].partition(b"\n\n")[0]
    stream.feed(first + b"\n")
    assert stream.made is None
    stream.feed(b"\n")
    assert stream.made == "resp_1"


def test_a_chat_is_read_at_its_beginning_alone() -> None:
    chunk = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "choices": [{"delta": {"audio": {"id": "audio_1"}}}],
    }
    stream = StateStream(has_items=False)
    text = event(None, chunk) * 4
    assert set(stream.feed(text)) == {("audio", "audio_1")}
    assert stream.made == "chatcmpl-1"
    assert stream.feed(event(None, {**chunk, "id": "chatcmpl-2"})) == []


def test_a_run_tells_of_its_thread() -> None:
    text = event("thread.created", {"id": "thread_1", "object": "thread"})
    text += event("thread.run.created", {"id": "run_1", "object": "thread.run", "thread_id": "thread_1"})
    assert told([text], has_items=False)[1] == {("thread", "thread_1")}


def test_an_answer_in_one_piece_says_its_id_first() -> None:
    for text in (b'{"id": "resp_1", "object": "response"', b' {"object":"response","id":"resp_1","x"'):
        assert told([text])[0] == "resp_1"
    assert told([b'{"error": {"id": "resp_1"}}'])[0] is None


def test_what_is_no_event_stream_or_too_long_holds_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_streams, "MAX_EVENT", 1000)
    for text in (b"\xff" * 5000, b"data: [1]\n\n" * 10, b"data: {nonsense\n\n" * 10, b"\n\n" * 100):
        assert told([text[at : at + 100] for at in range(0, len(text), 100)]) == (None, set())
    stream = StateStream(has_items=True)
    for _ in range(50):
        stream.feed(b"data: response.output_item.added" + b"x" * 100)
    assert len(stream._rest) <= 1200
