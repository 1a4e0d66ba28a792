"""The paces of several workers that exchange their evidence."""

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from fakes.routing import FakeView, call, endpoint, failure, plan_for, snapshot_of
from pointsman.domain.targets import Candidate
from pointsman.routing import paces as module
from pointsman.routing.pace import FIRST_PROBE_S, PROBE_LEASE_S, Pace, memory_of
from pointsman.routing.pace_news import STALE_S, PaceDelta, PaceNews
from pointsman.routing.paces import LATE_S, Paces, usual_s

STREAM = replace(call(), stream=True, size=4000)
PLAN = plan_for(STREAM, FakeView(snapshot_of(endpoint("a"), endpoint("b"))))
A, B = (choice.candidate for choice in PLAN.choices)
UNIT_S = usual_s(STREAM)


def sharing(count: int) -> list[Paces]:
    found = [Paces() for _ in range(count)]
    for rank, one in enumerate(found):
        one.share(rank)
    return found


def answer(paces: Paces, at: float, ratio: float, item: Candidate = A, name: str = "r-1") -> None:
    tried = paces.started(PLAN, item, STREAM, name, at - ratio * UNIT_S)
    paces.content(tried, at)


def fail(paces: Paces, at: float, took_s: float = 0.1) -> None:
    tried = paces.started(PLAN, A, STREAM, "r-1", at - took_s)
    paces.ended(tried, failure(), at, tokens_out=0, content_at=None)


def exchange(workers: list[Paces], now: float) -> None:
    deltas = [one.take_delta(now) for one in workers]
    for one in workers:
        for other, delta in zip(workers, deltas, strict=True):
            if other is not one and delta is not None:
                one.merge(delta, now)


def pace_of(paces: Paces, item: Candidate = A) -> Pace:
    found = paces.find(item, "chat", stream=True)
    assert found is not None
    return found


def estimate(paces: Paces, now: float) -> float:
    return pace_of(paces).estimate(now, memory_of(0.25), 1.0)[0]


def test_nothing_is_collected_by_a_worker_alone() -> None:
    paces = Paces()
    answer(paces, 1.0, 1.0)
    assert paces.take_delta(1.0) is None
    paces.share(0)
    assert paces.take_delta(2.0) is None, "earlier evidence is no news"
    answer(paces, 3.0, 1.0)
    paces.share(None)
    answer(paces, 4.0, 1.0)
    assert paces.take_delta(5.0) is None
    assert pace_of(paces).news is None


def test_workers_together_know_as_much_as_one_that_serves_all() -> None:
    """Also after a change of speed, and at the rate of all requests."""
    workers, alone = sharing(4), Paces()
    now = 0.0
    for second in range(60):
        for number in range(8):
            now = second + number / 8
            ratio = 1.0 if second < 40 else 4.0
            answer(workers[number % 4], now, ratio)
            answer(alone, now, ratio)
        exchange(workers, second + 1.0)
        if second == 39:
            assert estimate(workers[2], now) == pytest.approx(1.0, rel=0.01)
            assert pace_of(workers[2]).weight == pytest.approx(pace_of(alone).weight, rel=0.15)
        if second == 42:
            assert estimate(workers[2], 43.0) > 3.0, "three answers in each worker are twelve together"
    for one in workers:
        assert estimate(one, 60.0) == pytest.approx(estimate(alone, 60.0), rel=0.05)
        assert pace_of(one).weight == pytest.approx(pace_of(alone).weight, rel=0.15)
        assert one.gap_s(PLAN.model) == pytest.approx(alone.gap_s(PLAN.model), rel=0.2)


def test_failures_of_others_count_and_are_forgotten_after_an_outage() -> None:
    first, second = sharing(2)
    for number in range(20):
        answer(first, 1.0 + number / 20, 1.0)
        answer(second, 1.0 + number / 20, 1.0)
    exchange([first, second], 2.0)
    for number in range(8):
        fail(first, 2.0 + number / 10, took_s=3.0)
    exchange([first, second], 3.0)
    assert pace_of(second).failure_share() == pytest.approx(pace_of(first).failure_share(), rel=0.1)
    assert pace_of(second).failure_share() > 0.1
    assert pace_of(second).lost_s > 2.0
    for number in range(2):
        answer(first, 4.0 + number / 10, 1.0)
    exchange([first, second], 5.0)
    assert pace_of(second).failure_share() < 0.01


def test_old_delta_is_ignored_and_a_younger_one_decays() -> None:
    workers = sharing(3)
    for number in range(10):
        answer(workers[0], number / 10, 3.0)
    delta = workers[0].take_delta(1.0)
    assert delta is not None
    workers[1].merge(delta, 1.0 + STALE_S + 0.1)
    assert workers[1].find(A, "chat", stream=True) is None
    workers[2].merge(delta, 1.0 + STALE_S - 0.1)
    assert 6.0 < pace_of(workers[2]).weight < 8.0


def test_probe_of_one_worker_holds_back_the_others() -> None:
    first, second, third = sharing(3)
    for one in (first, second, third):
        answer(one, 100.0, 1.0)
        answer(one, 100.0, 1.0, B)
    exchange([first, second, third], 100.5)
    due = 100.0 + FIRST_PROBE_S + 0.1
    assert [pace_of(one).wants_probe(due, memory_of(0.01)) for one in (first, second, third)] == [True, False, False]
    assert pace_of(second).wants_probe(due + LATE_S, memory_of(0.01)), "the first one may have no request"
    first.started(replace(PLAN, probe=A.id), A, STREAM, "r-1", due)
    exchange([first, second, third], due + 0.5)
    assert not pace_of(second).wants_probe(due + PROBE_LEASE_S - 0.1, memory_of(0.01))
    assert pace_of(second).wants_probe(due + PROBE_LEASE_S + 0.1, memory_of(0.01)), "that worker may have ended"
    first.share(None)
    assert pace_of(first).late_s == 0.0


def test_worker_that_starts_takes_the_present_view_once() -> None:
    old, new = sharing(2)
    for number in range(200):
        answer(old, number / 10, 3.0)
    for number in range(5):
        fail(old, 20.0 + number / 10)
    whole = old.whole(21.0)
    new.adopt(whole, 21.1)
    assert estimate(new, 21.1) == pytest.approx(estimate(old, 21.1), rel=0.02)
    assert pace_of(new).failure_share() == pytest.approx(pace_of(old).failure_share(), rel=0.02)
    weight = pace_of(new).weight
    new.adopt(whole, 21.1)
    assert pace_of(new).weight == weight, "it has evidence of its own by now"


def test_size_of_a_delta_is_bounded_and_the_rest_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_NEWS", 3)
    (paces,) = sharing(1)
    for number in range(5):
        answer(paces, 1.0, 1.0, replace(A, id=f"a/m{number}"))
    sizes = [len(delta.news) for now in (1.0, 2.0, 3.0) if (delta := paces.take_delta(now)) is not None]
    assert sizes == [3, 2]
    assert len(paces.whole(4.0).news) == 3


def test_news_of_forgotten_providers_are_dropped() -> None:
    (paces,) = sharing(1)
    answer(paces, 1.0, 1.0)
    paces.keep({"b"})
    delta = paces.take_delta(1.0)
    assert delta is not None
    assert delta.news == []


NEWS = st.builds(
    PaceNews,
    name=st.just(A.id),
    stream=st.just(True),
    answers=st.floats(0, 20),
    ratios=st.floats(0, 50),
    usual_answers=st.floats(0, 20),
    usual_ratios=st.floats(0, 50),
    served=st.floats(0, 20),
    failed=st.floats(0, 20),
    lost_s=st.floats(0, 50),
    answered_at=st.floats(90, 100),
)


@given(st.lists(st.tuples(NEWS, st.floats(96, 100)), min_size=2, max_size=4))
def test_order_of_deltas_does_not_matter(found: list[tuple[PaceNews, float]]) -> None:
    """Without a change of speed, sums are equal in any order of arrival."""
    results = []
    for order in permutations(found):
        paces = Paces()
        for news, at in order:
            paces.merge(PaceDelta(at, [news]), 100.0)
        pace = pace_of(paces)
        results.append((pace.weight, pace.long_weight, pace.long_sum, pace.failure_share(), pace.recent_at))
    for one in results[1:]:
        assert one == pytest.approx(results[0])
