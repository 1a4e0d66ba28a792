"""The model of an answer is replaced, and nothing else."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.wire.answered_model import RenamedEvents, renamed

EVENTS = (
    b': a comment\n\ndata: {"id":"x","model":"gpt-4o-2024","choices":[{"delta":{"content":"\\"model\\":\\"y\\""}}]}\n'
    b'\nevent: response.created\r\ndata: {"type":"response.created","response":{"id":"r","model":"m"}}\r\n\r\n'
    b'data: {"usage":null}\n\ndata: [DONE]\n\n'
)


def test_only_the_model_of_an_answer_is_replaced() -> None:
    body = b'{"id": "x", "usage": {"cost": 1.10, "model": "inner"}, "model": "gpt-4o-2024-08-06"}'
    assert (
        renamed(body, 'my "model"') == b'{"id":"x","usage":{"cost": 1.10, "model": "inner"},"model":"my \\"model\\""}'
    )


@pytest.mark.parametrize("body", [b"", b"[1]", b'{"a": 1}', b"not json", b'{"model": ', b"\xff"])
def test_answer_without_model_is_unchanged(body: bytes) -> None:
    assert renamed(body, "m") == body


def test_model_of_a_message_is_replaced_in_its_first_event() -> None:
    body = b'{"type":"message_start","message":{"id":"x","model":"gpt-4o","content":[]}}'
    assert json.loads(renamed(body, "chat"))["message"] == {"id": "x", "model": "chat", "content": []}
    for other in (b'{"type":"error","message":"failed"}', b'{"type":"error","error":{"message":"m"}}'):
        assert json.loads(renamed(other, "chat")) == json.loads(other)


@given(st.lists(st.integers(0, len(EVENTS)), max_size=8))
def test_events_are_renamed_at_every_cut(cuts: list[int]) -> None:
    events = RenamedEvents("chat")
    places = [0, *sorted(cuts), len(EVENTS)]
    out = b"".join(events.feed(EVENTS[a:b]) for a, b in pairwise(places)) + events.close()
    lines = [line for line in out.splitlines() if line.startswith(b"data: {")]
    first, second, third = (json.loads(line[6:]) for line in lines)
    assert first["model"] == "chat"
    assert first["choices"][0]["delta"]["content"] == '"model":"y"'
    assert second == {"type": "response.created", "response": {"id": "r", "model": "chat"}}
    assert third == {"usage": None}
    assert out.startswith(b": a comment\n\n")
    assert out.endswith(b"data: [DONE]\n\n")
    assert b"event: response.created\r\n" in out


def test_bytes_after_last_line_are_returned() -> None:
    events = RenamedEvents("m")
    assert events.feed(b"data: [DO") == b""
    assert events.close() == b"data: [DO"
