"""The learned pace of one candidate. The usual time of an answer is one second here, so ratios are seconds."""

from math import exp
from random import Random

import pytest

from pointsman.routing import pace as module
from pointsman.routing.pace import (
    FIRST_TAIL,
    LEAST_SPREAD,
    LONGEST_PROBE_S,
    MOST_TAIL,
    PENDING,
    RECENT_S,
    K,
    Pace,
    memory_of,
)

GAP_S = 0.25
MEMORY = memory_of(GAP_S)


class Clock:
    """A pace whose attempts follow each other every quarter of a second."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pace = Pace(0.0)
        self.count = 0

    def begin(self, *, is_probe: bool = False) -> str:
        self.count += 1
        self.pace.begin(str(self.count), self.now, 1.0, is_probe=is_probe)
        return str(self.count)

    def answers(self, count: int, ratio: float, peers: float = 1.0) -> None:
        for _ in range(count):
            name = self.begin()
            self.now += GAP_S
            self.pace.answer(name, self.now, ratio, MEMORY, peers)

    def fails(self, count: int, took_s: float = 0.1) -> None:
        for _ in range(count):
            name = self.begin()
            self.now += took_s
            self.pace.fail(name, self.now, took_s, MEMORY)

    def estimate(self, peers: float = 1.0) -> float:
        return self.pace.estimate(self.now, MEMORY, peers)[0]


def test_candidate_without_answers_is_like_its_peers() -> None:
    clock = Clock()
    assert clock.pace.is_new
    assert clock.estimate(1.7) == pytest.approx(1.7)
    assert clock.pace.failure_share() < 0.02


def test_estimate_approaches_the_answers() -> None:
    clock = Clock()
    clock.answers(1, 3.0)
    first = clock.estimate()
    clock.answers(30, 3.0)
    assert 1.0 < first < clock.estimate() == pytest.approx(3.0, rel=0.1)


def test_change_is_noticed_within_a_few_answers() -> None:
    clock = Clock()
    clock.answers(200, 1.0)
    clock.answers(4, 4.0)
    assert clock.estimate() > 2.5
    clock.answers(12, 1.0)
    assert clock.estimate() < 1.6


def test_noise_is_no_change() -> None:
    clock, rng = Clock(), Random(1)
    for _ in range(1000):
        clock.answers(1, rng.lognormvariate(0.0, 0.35))
    assert clock.pace.weight > 20, "the memory was never dropped"
    assert 0.9 < clock.estimate() < 1.25


def test_one_outlier_counts_little() -> None:
    clock = Clock()
    clock.answers(100, 1.0)
    clock.answers(1, 1000.0)
    assert clock.estimate() < 1.5


def test_estimate_returns_to_the_usual_without_answers() -> None:
    clock = Clock()
    clock.answers(400, 1.0)
    clock.answers(6, 5.0)
    slow = clock.estimate()
    clock.now += 30
    assert clock.estimate() < slow
    clock.now += 600
    assert clock.estimate() == pytest.approx(clock.pace.usual(1.0), rel=0.05)


def test_silence_is_noticed_before_a_timeout() -> None:
    clock = Clock()
    clock.answers(200, 1.0)
    for _ in range(5):
        clock.begin()
        clock.now += GAP_S
    assert clock.estimate() < 1.3, "none has taken unusually long yet"
    for _ in range(2):
        clock.begin()
        clock.now += GAP_S
    assert clock.estimate() > 2.0


def test_answer_ends_the_suspicion_of_silence() -> None:
    clock = Clock()
    clock.answers(200, 1.0)
    names = []
    for _ in range(7):
        names.append(clock.begin())
        clock.now += GAP_S
    assert clock.estimate() > 2.0
    clock.pace.answer(names[-1], clock.now, 1.0, MEMORY, 1.0)
    assert clock.estimate() < 1.3


def test_silence_counts_though_rivals_supersede_the_attempts() -> None:
    clock = Clock()
    clock.answers(200, 1.0)
    for _ in range(12):
        name = clock.begin()
        clock.now += GAP_S
        if len(clock.pace._pending) > 3:
            first = next(iter(clock.pace._pending))
            clock.pace.cancel(first, clock.now, MEMORY, 1.0)
    assert name in clock.pace._pending
    assert clock.estimate() > 1.5


def test_silence_is_no_evidence_for_random_times() -> None:
    """With ten attempts in progress, nine in ten of them slower than usual, the next answer comes soon enough."""
    clock, rng = Clock(), Random(3)
    clock.answers(200, 1.0)
    for _ in range(400):
        clock.answers(1, rng.lognormvariate(0.0, 0.35))
    due = sorted((clock.now + rng.lognormvariate(0.0, 0.35), clock.begin()) for _ in range(10))
    suspected = 0
    for _ in range(2000):
        at, name = due.pop(0)
        clock.now = max(clock.now, at)
        suspected += clock.estimate() > 1.8
        clock.pace.answer(name, clock.now, rng.lognormvariate(0.0, 0.35), MEMORY, 1.0)
        due = sorted([*due, (clock.now + rng.lognormvariate(0.0, 0.35), clock.begin())])
    assert suspected < 20


def test_single_straggler_is_no_evidence() -> None:
    clock = Clock()
    clock.answers(200, 1.0)
    clock.begin()
    clock.now += 10
    assert clock.estimate() < 1.3


def test_cancelled_attempt_counts_only_if_it_was_slow() -> None:
    clock = Clock()
    clock.answers(20, 1.0)
    before, name, weight = clock.estimate(), clock.begin(), clock.pace.weight
    clock.pace.cancel(name, clock.now + 0.5, MEMORY, 1.0)
    assert clock.pace.weight == pytest.approx(weight * exp(-0.5 / RECENT_S)), "it only decays"
    quick, name = clock.estimate(), clock.begin()
    assert quick == pytest.approx(before, rel=0.05)
    clock.now += 5
    clock.pace.cancel(name, clock.now, MEMORY, 1.0)
    assert clock.estimate() > before
    clock.pace.cancel("unknown", clock.now, MEMORY, 1.0)


def test_failures_are_decayed_counts() -> None:
    clock = Clock()
    clock.answers(40, 1.0)
    clock.fails(4)
    share = clock.pace.failure_share()
    assert 0.05 < share < 0.3
    assert clock.pace.lost_s == pytest.approx(0.1 + 0.4 * 0.8**4)
    clock.answers(100, 1.0)
    assert clock.pace.failure_share() < share / 2


def test_recovered_candidate_is_forgiven_its_outage() -> None:
    clock = Clock()
    clock.answers(40, 1.0)
    clock.fails(10)
    assert clock.pace.failure_share() > 0.15
    clock.answers(1, 1.0)
    assert clock.pace.failure_share() > 0.1
    clock.answers(1, 1.0)
    assert clock.pace.failure_share() < 0.01
    clock.fails(1)
    clock.answers(2, 1.0)
    assert clock.pace.failure_share() > 0.01, "a single failure was no outage"


def test_candidate_without_an_answer_is_probed_less_and_less() -> None:
    clock = Clock()
    clock.answers(100, 1.0)
    pauses = []
    for _ in range(6):
        waited = 0.0
        while not clock.pace.wants_probe(clock.now, memory_of(0.01)):
            clock.now += 0.5
            waited += 0.5
        pauses.append(waited)
        name = "probe"
        clock.pace.begin(name, clock.now, 1.0, is_probe=True)
        assert not clock.pace.wants_probe(clock.now, memory_of(0.01)), "one probe at a time"
        clock.now += 4
        clock.pace.answer(name, clock.now, 4.0, memory_of(0.01), 1.0)
    assert pauses == sorted(pauses)
    assert pauses[-1] <= LONGEST_PROBE_S + 0.5


def test_probe_that_finds_it_better_is_followed_at_once() -> None:
    clock = Clock()
    clock.answers(100, 1.0)
    clock.answers(8, 6.0)
    clock.now += 10
    name = clock.begin(is_probe=True)
    clock.now += 0.5
    clock.pace.answer(name, clock.now, 0.5, MEMORY, 1.0)
    assert clock.pace.wants_probe(clock.now, MEMORY)


def test_usually_slow_candidate_gets_a_rare_look() -> None:
    clock = Clock()
    clock.answers(10, 9.0)
    assert not clock.pace.wants_look(clock.now + module.LOOK_S - 1, MEMORY)
    assert clock.pace.wants_look(clock.now + module.LOOK_S + 1, MEMORY)
    assert not clock.pace.wants_look(clock.now + module.LOOK_S + 1, memory_of(10.0)), (
        "with rare requests it waits longer"
    )


def test_tail_learns_what_one_answer_in_a_hundred_exceeds() -> None:
    clock, rng = Clock(), Random(2)
    assert clock.pace.tail == FIRST_TAIL
    for _ in range(2000):
        clock.answers(1, rng.lognormvariate(0.0, 0.35))
    assert 1.9 < clock.pace.tail < 3.5
    for _ in range(500):
        clock.answers(1, 1.0 if rng.random() < 0.9 else 50.0)
    assert clock.pace.tail > 5
    assert clock.pace.tail <= MOST_TAIL


def test_number_of_pending_attempts_is_bounded() -> None:
    pace = Pace(0.0)
    for number in range(PENDING + 10):
        pace.begin(str(number), 0.0, 1.0)
    assert len(pace._pending) == PENDING
    pace.forget("0")
    assert len(pace._pending) == PENDING - 1


def test_prior_has_the_weight_of_two_answers() -> None:
    clock = Clock()
    clock.answers(1, 4.0, peers=1.0)
    usual = clock.pace.usual(1.0)
    assert usual == pytest.approx((3.0 + 1.0) / 2.0), "an answer counts at most three times the usual ratio"
    assert clock.estimate() == pytest.approx((4.0 + K * clock.pace._anchor) / (1 + K), rel=0.2)  # type: ignore[operator]


def test_spread_is_the_factor_that_one_answer_in_twenty_exceeds() -> None:
    """The 95th percentile of this distribution is 1.78 times its median, and 1.67 times its mean."""
    rng, clock, spreads = Random(7), Clock(), []
    for number in range(3000):
        clock.answers(1, rng.lognormvariate(0.0, 0.35))
        if number >= 500:
            spreads.append(clock.pace.spread)
    assert sum(spreads) / len(spreads) == pytest.approx(1.72, abs=0.15)


def test_spread_of_even_answers_keeps_a_margin() -> None:
    clock = Clock()
    clock.answers(3000, 1.0)
    assert clock.pace.spread == LEAST_SPREAD
