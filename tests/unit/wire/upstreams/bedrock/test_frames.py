"""Bedrock's frames as server-sent events."""

import json

import pytest

from fakes.bedrock import chunk, event, exception, frame
from pointsman.wire.sse import DamagedStream, event_data, split_events
from pointsman.wire.upstreams.bedrock.frames import chunk_splitter, converse_splitter


def data_in(stream: bytes) -> list[object]:
    return [json.loads(event_data(one) or b"") for one in split_events(stream)]


def test_event_of_converse_is_named_by_its_field() -> None:
    splitter = converse_splitter(1 << 20)
    out = splitter.feed(event("messageStop", stopReason="end_turn") + event("contentBlockStop")[:5])
    assert data_in(out) == [{"messageStop": {"stopReason": "end_turn", "p": "abcdef"}}]
    assert not splitter.is_between
    assert splitter.rest() == b""


def test_lines_of_a_payload_stay_in_one_event() -> None:
    payload = b'{\r\n"delta": {\n"text": "a\\nb"}\n\n}'
    out = converse_splitter(1 << 20).feed(frame(payload, message_type="event", event_type="contentBlockDelta"))
    assert data_in(out) == [{"contentBlockDelta": {"delta": {"text": "a\nb"}}}]
    inner = b'{"type":\n\n"ping"}'
    out = chunk_splitter(1 << 20).feed(chunk(inner))
    assert out == b'event: ping\ndata: {"type":  "ping"}\n\n'


def test_chunk_that_is_not_base64_is_damage() -> None:
    bad = frame(b'{"bytes":"a"}', message_type="event", event_type="chunk")
    with pytest.raises(DamagedStream):
        chunk_splitter(1 << 20).feed(bad)


@pytest.mark.parametrize("splitter", [converse_splitter, chunk_splitter])
def test_errors_have_one_shape(splitter: object) -> None:
    assert callable(splitter)
    found = splitter(1 << 20).feed(
        exception("throttlingException", "slow\ndown")
        + frame(b"", message_type="error", error_code="InternalError", error_message="broken")
        + frame(b"{}", message_type="other")
    )
    assert data_in(found) == [
        {"type": "error", "error": {"type": "throttlingException", "message": "slow\ndown"}},
        {"type": "error", "error": {"type": "InternalError", "message": "broken"}},
    ]
