"""Streams that are held back until they are complete (`failover.stream_recovery: buffer`)."""

import pytest

from pointsman.domain import failures
from pointsman.engine import passage, receiver
from pointsman.engine.passage import AFTER_FINISH_S
from pointsman.transport.errors import TransportFailure
from unit.engine.test_receiver import NOW, REFUSAL, SSE, TIMEOUTS, Scene


@pytest.fixture(autouse=True)
def time_stands_still(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (passage, receiver):
        monkeypatch.setattr(module, "monotonic", lambda: NOW)


def buffered(**given: int) -> Scene:
    scene = Scene(**given)  # type: ignore[arg-type]
    scene.receiver.whole_by = NOW + 300
    return scene


def test_client_gets_nothing_of_a_buffered_stream_before_its_end() -> None:
    scene = buffered()
    for piece in (b"role ", b"C1 ", b"C2 ", b"F"):
        scene.give(200, SSE, piece) if scene.receiver.status is None else scene.receiver.on_data(piece)
        assert scene.client.written == b""
    scene.receiver.on_data(b"D")
    assert scene.outcome() == (b"role C1 C2 FD", "finished", None)
    assert scene.receiver.content_at == NOW


@pytest.mark.parametrize(
    ("end", "code"), [("E", "upstream_error"), ("cut", "connection_lost"), ("stall", "stream_stalled")]
)
def test_buffered_stream_that_breaks_off_reaches_no_client(end: str, code: str) -> None:
    scene = buffered()
    scene.give(200, SSE, b"role C1 ", b"C2 ")
    if end == "E":
        scene.receiver.on_data(b"E")
    else:
        kind = failures.CONNECTION_LOST if end == "cut" else scene.leg.timeout_kind
        scene.receiver.on_failure(TransportFailure(kind, end, was_sent=True))
    assert scene.outcome() == (None, None, code)
    assert not scene.exchange.is_started


def test_buffered_stream_must_not_stall_nor_take_too_long() -> None:
    scene = buffered()
    scene.receiver.commit_by, scene.receiver.content_by = NOW + 99, NOW + 9
    scene.give(200, SSE)
    assert scene.leg.deadline == NOW + 9, "its first content is due"
    scene.receiver.on_data(b"C1 ")
    assert (scene.leg.deadline, scene.leg.timeout_kind) == (NOW + TIMEOUTS.stall_s, failures.STALLED)
    scene.receiver.whole_by = NOW + 20
    scene.receiver.on_data(b"C2 ")
    assert (scene.leg.deadline, scene.leg.timeout_kind) == (NOW + 20, failures.COMMIT_TIMEOUT)


def test_finished_buffered_stream_waits_only_for_its_end() -> None:
    scene = buffered()
    scene.give(200, SSE, b"C1 ", b"F")
    assert scene.leg.deadline == NOW + AFTER_FINISH_S


def test_comments_do_not_extend_the_wait_for_the_end_of_a_finished_stream() -> None:
    scene = buffered()
    scene.give(200, SSE, b"C1 ", b"F", b": a comment ", b"U", b": another ")
    assert scene.leg.deadline == NOW + AFTER_FINISH_S


def test_memory_of_a_buffered_stream_is_bounded() -> None:
    """A stream that outgrows the buffer is passed on from there."""
    scene = buffered(commit_buffer=20)
    scene.give(200, SSE, b"C" * 15)
    assert scene.client.written == b""
    scene.receiver.on_data(b"C" * 10)
    assert scene.outcome() == (b"C" * 25, None, None)
    scene.receiver.on_data(b"CD")
    assert scene.outcome() == (b"C" * 25 + b"CD", "finished", None)


def test_refusal_in_a_buffered_stream_is_held_back() -> None:
    scene = buffered()
    scene.receiver.held = REFUSAL
    scene.give(200, SSE, b"data: RC", b"C", b"D")
    assert scene.outcome() == (None, None, "refused")
