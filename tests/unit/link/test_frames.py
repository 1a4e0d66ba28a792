"""Frames survive any split of the stream, and their size is bounded."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.domain.leases import NO_SHARE, Grant, Holding, LeaseRequest, LeaseUnavailable, Return, Share
from pointsman.link.frames import (
    FROM_CONTROL,
    FROM_WORKER,
    MAX_FRAME,
    PROTOCOL,
    Ask,
    CannotLease,
    Draining,
    FrameReader,
    FromControl,
    FromWorker,
    GiveBack,
    Granted,
    Hello,
    InForce,
    Metrics,
    MetricsRequest,
    NewSnapshot,
    Recall,
    Reshare,
    Welcome,
    encode,
)

FROM_WORKERS: list[FromWorker] = [
    Hello(
        protocol=PROTOCOL,
        slot=0,
        epoch=2**62,
        pid=5,
        journal="000-1",
        digest="digest",
        share=None,
        holdings=[Holding("c", 60, 10**18, 5)],
    ),
    Hello(
        protocol=PROTOCOL, slot=0, epoch=1, pid=5, journal="000-1", digest="digest", share=Share(1, 2, 1.5), holdings=[]
    ),
    Ask(1, [LeaseRequest("c", 60, 5, 3)]),
    GiveBack([Return("c", 60, 5, 3)]),
    InForce("digest"),
    Draining(),
    Metrics(3, b"page"),
]
FROM_CONTROLS: list[FromControl] = [
    Welcome(PROTOCOL, NO_SHARE),
    Granted(1, [Grant("c", 60, 5, 4, 3)]),
    Recall([("c", 60)]),
    Reshare(Share(1, 3, 2.0)),
    NewSnapshot("/path", "digest"),
    MetricsRequest(3),
    CannotLease(1, LeaseUnavailable("why")),
]


@given(st.lists(st.sampled_from(FROM_WORKERS), max_size=8), st.lists(st.integers(1, 40), min_size=1))
def test_frames_arrive_whole_and_in_order_for_any_split(frames: list[FromWorker], sizes: list[int]) -> None:
    stream = b"".join(map(encode, frames))
    reader, found, at, turn = FrameReader(), [], 0, 0
    while at < len(stream):
        size = sizes[turn % len(sizes)]
        found += [FROM_WORKER.decode(body) for body in reader.feed(stream[at : at + size])]
        at, turn = at + size, turn + 1
    assert found == frames


@pytest.mark.parametrize("frame", FROM_CONTROLS)
def test_frames_of_control_survive_a_round_trip(frame: FromControl) -> None:
    (body,) = FrameReader().feed(encode(frame))
    assert FROM_CONTROL.decode(body) == frame


def test_frames_of_the_other_direction_are_rejected() -> None:
    for frame in FROM_WORKERS:
        with pytest.raises(msgspec.ValidationError):
            FROM_CONTROL.decode(encode(frame)[4:])
    for one in FROM_CONTROLS:
        with pytest.raises(msgspec.ValidationError):
            FROM_WORKER.decode(encode(one)[4:])


def test_length_over_the_limit_is_rejected_before_buffering() -> None:
    with pytest.raises(ValueError, match=f"over the limit of {MAX_FRAME}"):
        FrameReader().feed((MAX_FRAME + 1).to_bytes(4, "big"))
