"""An answer passes at its client's pace, and within the time limits of its provider."""

from collections.abc import Callable
from functools import partial

import pytest

from pointsman.domain import failures
from pointsman.domain.messages import Headers
from pointsman.domain.snapshots import Timeouts
from pointsman.engine.passage import AFTER_FINISH_S
from pointsman.engine.receiver import AnswerReceiver
from pointsman.transport.deadlines import NEVER
from pointsman.transport.errors import TransportFailure
from unit.engine.test_receiver import BROKEN, JSON, MP3, NOW, SSE, TIMEOUTS, Scene, time_stands_still

__all__ = ["time_stands_still"]  # a fixture for every test


def test_deadline_of_a_committed_stream_is_its_stall_timeout() -> None:
    scene = Scene()
    before = scene.leg.deadline
    receiver = scene.give(200, SSE, b"role ")
    assert (scene.leg.deadline, scene.leg.timeout_kind) == (before, failures.COMMIT_TIMEOUT)
    receiver.on_data(b"C1 ")
    assert scene.leg.deadline == NOW + TIMEOUTS.stall_s
    assert scene.leg.timeout_kind is failures.STALLED
    assert "watch" in scene.carrier.calls, "it is earlier than the previous deadline"
    scene.leg.deadline = 0.0
    receiver.on_data(b"C2 ")
    assert scene.leg.deadline == NOW + TIMEOUTS.stall_s


def test_duration_of_a_stream_is_bounded() -> None:
    scene = Scene(timeouts=Timeouts(stall_s=60.0, stream_s=30.0))
    scene.give(200, SSE, b"C1 ")
    assert scene.leg.deadline == NOW + 30.0
    assert scene.leg.timeout_kind is failures.STREAM_TOO_LONG
    first = scene.leg.deadline
    scene.receiver.on_data(b"C2 ")
    assert scene.leg.deadline == first, "more content does not move it"


@pytest.mark.parametrize(
    ("make", "headers"),
    [
        (Scene, SSE),
        (partial(Scene, stream=False, is_passthrough=True), MP3),
        (partial(Scene, stream=False, commit_buffer=1), JSON),
    ],
    ids=["stream", "binary", "large"],
)
def test_slow_client_suspends_the_deadline_of_the_provider(make: Callable[[], Scene], headers: Headers) -> None:
    scene, beginning = make(), b"[" if headers is JSON else b""
    scene.client.is_write_paused = True
    scene.give(200, headers, beginning + b"C1 ")
    assert scene.carrier.calls[-1] == "pause"
    assert scene.leg.deadline == NEVER
    scene.receiver.on_data(b"C2 ")  # data that was already read still arrives
    assert scene.leg.deadline == NEVER
    scene.client.drain(scene.exchange)
    assert scene.carrier.calls[-2:] == ["watch", "resume"]
    assert scene.leg.deadline == NOW + TIMEOUTS.stall_s
    assert scene.client.body == beginning + b"C1 C2 "


def test_drain_after_the_end_has_no_effect() -> None:
    scene = Scene()
    scene.give(200, SSE, b"C1 D")
    before = list(scene.carrier.calls)
    scene.receiver.on_drain()
    assert scene.carrier.calls == before


def test_slow_client_suspends_the_deadline_after_the_finish() -> None:
    scene = Scene()
    scene.give(200, SSE, b"C1 ")
    scene.client.is_write_paused = True
    scene.receiver.on_data(b"F ")
    assert scene.leg.deadline == NEVER
    scene.client.drain(scene.exchange)
    assert scene.leg.deadline == NOW + AFTER_FINISH_S


@pytest.mark.parametrize(
    "end",
    [
        lambda receiver: receiver.on_end(),
        lambda receiver: receiver.on_failure(TransportFailure(failures.CONNECTION_LOST, "x", was_sent=True)),
    ],
    ids=["end", "failure"],
)
def test_attempt_ends_once(end: Callable[[AnswerReceiver], None]) -> None:
    scene = Scene()
    receiver = scene.give(200, SSE, b"C1 ", b"E")
    assert receiver.failure is BROKEN
    receiver.on_data(b"late")
    end(receiver)
    assert scene.outcome() == (b"C1 ", None, "upstream_error")
