"""The state of hedging: the times of recent answers, and the budgets of second attempts."""

from random import Random

import pytest

from fakes.routing import endpoint
from pointsman.domain.snapshots import Hedging, Racing
from pointsman.domain.targets import candidate
from pointsman.routing import hedges as module
from pointsman.routing.hedges import CAPACITY, FEWEST, MOST, RACES, RENEWED, CommitTimes, Hedges

A, B = (candidate(endpoint(name), "m") for name in "ab")
SETTINGS = Hedging(after_s=1.0, share=0.25)


def test_percentile_needs_some_answers() -> None:
    times = CommitTimes()
    for number in range(FEWEST):
        assert times.percentile(50) is None
        times.add(float(number))
    assert times.percentile(50) == FEWEST // 2
    assert times.percentile(99.9) == FEWEST - 1


def test_percentile_is_that_of_the_latest_answers() -> None:
    times, rng = CommitTimes(), Random(1)
    for _ in range(MOST):
        times.add(100.0)
    latest = [rng.random() for _ in range(MOST)]
    for seconds in latest:
        times.add(seconds)
    assert times.percentile(95) == sorted(latest)[int(MOST * 0.95)]


def test_order_is_renewed_from_time_to_time() -> None:
    times = CommitTimes()
    for _ in range(FEWEST):
        times.add(1.0)
    assert times.percentile(90) == 1.0
    for _ in range(RENEWED - 1):
        times.add(9.0)
        assert times.percentile(90) == 1.0
    times.add(9.0)
    assert times.percentile(90) == 9.0


def test_streams_and_other_answers_and_candidates_are_apart() -> None:
    hedges = Hedges()
    for _ in range(FEWEST):
        hedges.note_commit(A, "chat", 1.0, stream=True)
    assert hedges.percentile(A, "chat", 95, stream=True) == 1.0
    assert hedges.percentile(A, "chat", 95, stream=False) is None
    assert hedges.percentile(A, "embedding", 95, stream=True) is None
    assert hedges.percentile(B, "chat", 95, stream=True) is None
    hedges.keep({"b"})
    assert hedges.percentile(A, "chat", 95, stream=True) is None


def test_number_of_candidates_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_SUBJECTS", 3)
    hedges = Hedges()
    for number in range(10):
        hedges.note_commit(candidate(endpoint("a"), f"m{number}"), "chat", 1.0, stream=True)
    assert len(hedges._times) == 3


def test_requests_earn_their_share_of_a_rival() -> None:
    hedges = Hedges()
    assert not hedges.may_start(SETTINGS, "chat"), "no request has come yet"
    rivals = 0
    for _ in range(1000):
        hedges.count(SETTINGS, "chat", is_rival=False)
        if hedges.may_start(SETTINGS, "chat"):
            hedges.count(SETTINGS, "chat", is_rival=True)
            rivals += 1
    assert rivals == 250 + 1


def test_unused_rivals_are_saved_up_to_a_limit() -> None:
    hedges = Hedges()
    for _ in range(1000):
        hedges.count(SETTINGS, "chat", is_rival=False)
    rivals = 0
    while hedges.may_start(SETTINGS, "chat"):
        hedges.count(SETTINGS, "chat", is_rival=True)
        rivals += 1
    assert rivals == CAPACITY


def test_few_races_can_be_saved_up_and_they_are_apart_from_hedges() -> None:
    hedges, racing = Hedges(), Racing(share=0.5)
    for _ in range(100):
        hedges.count(racing, "chat", is_rival=False)
    started = 0
    while hedges.may_start(racing, "chat"):
        hedges.count(racing, "chat", is_rival=True)
        started += 1
    assert started == RACES
    hedges.count(SETTINGS, "chat", is_rival=False)
    assert hedges.may_start(SETTINGS, "chat")
