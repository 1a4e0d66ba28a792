"""The ids that streams report, at every cut of their bytes."""

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
REPORTED = {("response", "resp_1"), ("item", "rs_1"), ("item", "ci_1"), ("container", "cntr_1")}


def reported(pieces: list[bytes], *, has_items: bool = True) -> tuple[str | None, set[tuple[str, str]]]:
    stream = StateStream(has_items=has_items)
    found = {one for piece in pieces for one in stream.feed(piece)}
    return stream.made, found


@pytest.mark.parametrize("stream", STREAMS)
def test_response_ids_survive_every_cut(stream: bytes) -> None:
    for cut in range(len(stream)):
        assert reported([stream[:cut], stream[cut:]]) == ("resp_1", REPORTED), cut


@given(st.data())
def test_response_ids_survive_pieces_of_any_size(data: st.DataObject) -> None:
    stream = data.draw(st.sampled_from(STREAMS))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=30)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert reported(pieces) == ("resp_1", REPORTED)


def test_id_is_known_after_first_whole_event() -> None:
    stream, first = StateStream(has_items=True), STREAMS[0].partition(b"\n\n")[0]
    stream.feed(first + b"\n")
    assert stream.made is None
    stream.feed(b"\n")
    assert stream.made == "resp_1"


def test_chat_is_read_only_at_its_beginning() -> None:
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


def test_run_reports_its_thread() -> None:
    text = event("thread.created", {"id": "thread_1", "object": "thread"})
    text += event("thread.run.created", {"id": "run_1", "object": "thread.run", "thread_id": "thread_1"})
    assert reported([text], has_items=False)[1] == {("thread", "thread_1")}


def test_whole_answer_reports_id_at_its_beginning() -> None:
    for text in (b'{"id": "resp_1", "object": "response"', b' {"object":"response","id":"resp_1","x"'):
        assert reported([text])[0] == "resp_1"
    assert reported([b'{"error": {"id": "resp_1"}}'])[0] is None


def test_invalid_or_long_stream_is_not_buffered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_streams, "MAX_EVENT", 1000)
    for text in (b"\xff" * 5000, b"data: [1]\n\n" * 10, b"data: {nonsense\n\n" * 10, b"\n\n" * 100):
        assert reported([text[at : at + 100] for at in range(0, len(text), 100)]) == (None, set())
    stream = StateStream(has_items=True)
    for _ in range(50):
        stream.feed(b"data: response.output_item.added" + b"x" * 100)
    assert len(stream._rest) <= 1200
