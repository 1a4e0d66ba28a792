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


def test_the_deadline_of_a_committed_stream_is_its_next_stall() -> None:
    scene = Scene()
    before = scene.leg.deadline
    reception = scene.give(200, SSE, b"role ")
    assert (scene.leg.deadline, scene.leg.timeout_kind) == (before, failures.COMMIT_TIMEOUT)
    reception.on_data(b"C1 ")
    assert scene.leg.deadline == NOW + TIMEOUTS.stall_s
    assert scene.leg.timeout_kind is failures.STALLED
    assert "watch" in scene.carrier.calls, "it is earlier than the time to commit was"
    scene.leg.deadline = 0.0
    reception.on_data(b"C2 ")
    assert scene.leg.deadline == NOW + TIMEOUTS.stall_s


def test_a_stream_as_a_whole_has_an_end() -> None:
    scene = Scene(timeouts=Timeouts(stall_s=60.0, stream_s=30.0))
    scene.give(200, SSE, b"C1 ")
    assert scene.leg.deadline == NOW + 30.0
    assert scene.leg.timeout_kind is failures.STREAM_TOO_LONG
    first = scene.leg.deadline
    scene.reception.on_data(b"C2 ")
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
def test_a_slow_client_is_waited_for_and_not_held_against_the_provider(
    make: Callable[[], Scene], headers: Headers
) -> None:
    scene, beginning = make(), b"[" if headers is JSON else b""
    scene.client.is_write_paused = True
    scene.give(200, headers, beginning + b"C1 ")
    assert scene.carrier.calls[-1] == "pause"
    assert scene.leg.deadline == NEVER
    scene.reception.on_data(b"C2 ")  # what was read already still arrives
    assert scene.leg.deadline == NEVER
    scene.client.drain(scene.exchange)
    assert scene.carrier.calls[-2:] == ["watch", "resume"]
    assert scene.leg.deadline == NOW + TIMEOUTS.stall_s
    assert scene.client.body == beginning + b"C1 C2 "


def test_a_client_that_catches_up_after_the_end_wakes_nobody() -> None:
    scene = Scene()
    scene.give(200, SSE, b"C1 D")
    before = list(scene.carrier.calls)
    scene.reception.on_drain()
    assert scene.carrier.calls == before


def test_a_slow_client_is_waited_for_behind_the_finish_too() -> None:
    scene = Scene()
    scene.give(200, SSE, b"C1 ")
    scene.client.is_write_paused = True
    scene.reception.on_data(b"F ")
    assert scene.leg.deadline == NEVER
    scene.client.drain(scene.exchange)
    assert scene.leg.deadline == NOW + AFTER_FINISH_S


@pytest.mark.parametrize(
    "end",
    [
        lambda reception: reception.on_end(),
        lambda reception: reception.on_failure(TransportFailure(failures.CONNECTION_LOST, "x", was_sent=True)),
    ],
    ids=["end", "failure"],
)
def test_an_attempt_is_over_once(end: Callable[[AnswerReceiver], None]) -> None:
    scene = Scene()
    reception = scene.give(200, SSE, b"C1 ", b"E")
    assert reception.failure is BROKEN
    reception.on_data(b"late")
    end(reception)
    assert scene.outcome() == (b"C1 ", None, "upstream_error")
