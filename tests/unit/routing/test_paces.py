"""The paces of all candidates, as attempts teach them."""

import pytest
from msgspec.structs import replace

from fakes.routing import FakeView, call, endpoint, failure, plan_for, snapshot_of
from pointsman.domain import failures
from pointsman.domain.calls import Call, Prefix
from pointsman.domain.failures import Failure, Kind
from pointsman.domain.plans import Plan
from pointsman.domain.snapshots import Failover
from pointsman.routing import paces as module
from pointsman.routing.paces import ENOUGH_S, FIRST_GAP_S, FIRST_TOKEN_S, Paces, Tried, usual_s
from pointsman.routing.prefixes import domain_of

STREAM = replace(call(), stream=True, size=4000)
PLAN = plan_for(STREAM, FakeView(snapshot_of(endpoint("a"), endpoint("b"))))
A, B = (choice.candidate for choice in PLAN.choices)


def start(paces: Paces, now: float, request: Call = STREAM, plan: Plan = PLAN, name: str = "r-1") -> Tried:
    return paces.started(plan, A, request, name, now)


def test_usual_time_grows_with_the_prompt_and_the_answer() -> None:
    assert usual_s(replace(STREAM, size=0)) == pytest.approx(FIRST_TOKEN_S, rel=0.01)
    assert usual_s(STREAM) > usual_s(replace(STREAM, size=400))
    whole = replace(STREAM, stream=False)
    assert usual_s(whole, 1000) > usual_s(whole, 10) > usual_s(STREAM)
    assert usual_s(replace(whole, max_tokens=10)) == pytest.approx(usual_s(whole, 10))
    assert usual_s(replace(whole, operation="embedding")) == pytest.approx(usual_s(STREAM))


def test_content_of_a_stream_is_learned_at_once_and_once() -> None:
    paces = Paces()
    tried = start(paces, 10.0)
    paces.content(tried, 10.0 + 2 * usual_s(STREAM))
    pace = paces.find(A, "chat", stream=True)
    assert pace is not None
    assert pace.long_sum == pytest.approx(2.0)
    paces.ended(tried, None, 99.0, tokens_out=50, content_at=11.0)
    assert pace.long_weight == pytest.approx(1.0, rel=0.2), "its end is no second answer"
    assert paces.find(A, "chat", stream=False) is None
    assert paces.find(B, "chat", stream=True) is None


def test_whole_answer_is_compared_with_its_length() -> None:
    paces, whole = Paces(), replace(STREAM, stream=False)
    tried = start(paces, 0.0, whole)
    paces.ended(tried, None, 3 * usual_s(whole, 700), tokens_out=700, content_at=None)
    pace = paces.find(A, "chat", stream=False)
    assert pace is not None
    assert pace.long_sum == pytest.approx(3.0)


@pytest.mark.parametrize(
    ("kind", "is_failure"),
    [
        (failures.UPSTREAM_ERROR, True),
        (failures.COMMIT_TIMEOUT, True),
        (failures.UPSTREAM_RATE_LIMITED, False),
        (failures.UPSTREAM_REFUSED, False),
        (failures.CREDENTIAL_REJECTED, False),
        (failures.CLIENT_GONE, False),
    ],
)
def test_only_faults_of_the_provider_are_failures(kind: Kind, is_failure: bool) -> None:
    paces = Paces()
    paces.ended(start(paces, 0.0), failure(kind), 0.1, tokens_out=0, content_at=None)
    pace = paces.find(A, "chat", stream=True)
    assert pace is not None
    assert (pace.failure_share() > 0.1) is is_failure
    assert not pace._pending


def test_content_of_a_stream_that_broke_off_still_counts() -> None:
    paces = Paces()
    cut = Failure(failures.TRUNCATED, "cut")
    paces.ended(start(paces, 0.0), cut, 9.0, tokens_out=5, content_at=usual_s(STREAM))
    pace = paces.find(A, "chat", stream=True)
    assert pace is not None
    assert pace.long_sum > 0
    assert pace.failure_share() > 0.1


def test_buffered_stream_is_never_overdue() -> None:
    """Its content is known only at its end."""
    paces = Paces()
    buffered = replace(PLAN, routing=replace(PLAN.routing, failover=Failover(stream_recovery="buffer")))
    tried = start(paces, 0.0, plan=buffered)
    paces.ended(tried, None, 50.0, tokens_out=5, content_at=usual_s(STREAM))
    pace = paces.find(A, "chat", stream=True)
    assert pace is not None
    assert pace.long_sum == pytest.approx(1.0)


def test_gap_between_requests_is_learned_from_first_attempts() -> None:
    paces = Paces()
    assert paces.gap_s("chat") == FIRST_GAP_S
    for number in range(200):
        start(paces, number * 2.0)
        start(paces, number * 2.0 + 0.5, name="r-2")
    assert paces.gap_s("chat") == pytest.approx(2.0, rel=0.01)
    assert paces.gap_s("other") == FIRST_GAP_S


def test_peers_are_the_mean_of_all_answers() -> None:
    paces = Paces()
    assert paces.peers((A, B), "chat", stream=True) == 1.0
    for number in range(50):
        tried = start(paces, float(number))
        paces.content(tried, number + 2 * usual_s(STREAM))
    assert 1.7 < paces.peers((A, B), "chat", stream=True) < 2.0
    assert paces.peers((B,), "chat", stream=True) == 1.0


def test_names_are_bounded_and_removed_providers_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_PACES", 2)
    monkeypatch.setattr(module, "MOST_NAMES", 2)
    paces = Paces()
    for number in range(5):
        item = replace(A, id=f"a/m{number}")
        paces.started(replace(PLAN, model=f"name{number}"), item, STREAM, "r-1", 0.0)
    assert len(paces._paces) == 2
    assert len(paces._gaps) <= 2
    paces.keep({"b"})
    assert not paces._paces


def with_prefix(blocks: int = 10) -> tuple[Plan, Call]:
    prefix = Prefix(tuple(range(1, blocks + 1)), 9)
    return replace(PLAN, prefix=prefix), replace(STREAM, size=2048 * blocks)


def test_attempt_is_expected_to_find_the_prompt_that_an_earlier_one_left() -> None:
    paces, (plan, request) = Paces(), with_prefix()
    first = paces.started(plan, A, request, "r-1", 0.0, key=A.keys[0])
    assert (first.blocks, first.cached) == (0, 0.0)
    second = paces.started(plan, A, request, "s-1", 1.0, key=A.keys[0])
    assert (second.blocks, second.cached) == (10, 5120.0)
    other = paces.started(plan, B, request, "t-1", 1.0, key=B.keys[0])
    assert other.blocks == 0


def test_time_of_an_answer_is_compared_with_that_of_the_uncached_prompt() -> None:
    paces, (plan, request) = Paces(), with_prefix()
    paces.started(plan, A, request, "r-1", 0.0, key=A.keys[0])
    tried = paces.started(plan, A, request, "s-1", 1.0, key=A.keys[0])
    paces.content(tried, 1.0 + FIRST_TOKEN_S)
    pace = paces.find(A, "chat", stream=True)
    assert pace is not None
    assert pace.long_sum == pytest.approx(1.0)


def test_failed_attempt_leaves_no_prompt() -> None:
    paces, (plan, request) = Paces(), with_prefix()
    tried = paces.started(plan, A, request, "r-1", 0.0, key=A.keys[0])
    paces.ended(tried, failure(), 1.0, tokens_out=0, content_at=None)
    assert paces.started(plan, A, request, "s-1", 2.0, key=A.keys[0]).blocks == 0


def test_reports_of_cached_tokens_correct_the_expectation() -> None:
    paces, (plan, request) = Paces(), with_prefix()
    for number in range(50):
        tried = paces.started(plan, A, request, f"{number}-1", float(number), key=A.keys[0])
        paces.ended(tried, None, number + 0.5, tokens_out=5, content_at=number + 0.4, tokens_cached=1024)
    assert tried.cached == pytest.approx(1024, rel=0.02)


@pytest.mark.parametrize(
    ("kind", "failures_of_key"),
    [
        (failures.UPSTREAM_ERROR, 1.0),
        (failures.UPSTREAM_RATE_LIMITED, 1.0),
        (failures.UPSTREAM_REFUSED, 0.0),
        (failures.CLIENT_GONE, 0.0),
    ],
)
def test_key_is_blamed_for_failures_of_its_provider_and_quota(kind: Kind, failures_of_key: float) -> None:
    paces = Paces()
    tried = paces.started(PLAN, A, STREAM, "r-1", 0.0, key=A.keys[0])
    state = paces.keys.find(("a", "k1"))
    assert state is not None
    assert state.running == 1
    paces.ended(tried, failure(kind), 1.0, tokens_out=0, content_at=None)
    assert (state.running, state.failed, state.served) == (0, failures_of_key, 0.0)
    paces.ended(paces.started(PLAN, A, STREAM, "s-1", 1.0, key=A.keys[0]), None, 2.0, tokens_out=5, content_at=1.5)
    assert state.served == 1.0


def observed(paces: Paces, gap_s: float, seconds: float, plan: Plan = PLAN) -> tuple[int, int]:
    """Start attempts at this pace. Return the numbers of all and of those that were observed."""
    count = int(seconds / gap_s)
    found = 0
    for number in range(count):
        now = 100.0 + number * gap_s
        if paces.observes(plan, A, f"r{number}-1", now, key=A.keys[0]):
            paces.ended(start(paces, now, plan=plan), None, now, tokens_out=1, content_at=now + 1e-4)
            found += 1
    return count, found


def test_every_attempt_is_observed_at_a_usual_rate() -> None:
    for gap_s in (60.0, 1.0, 2 * ENOUGH_S):
        count, found = observed(Paces(), gap_s, 100 * gap_s)
        assert found == count


def test_some_attempts_are_enough_under_heavy_traffic() -> None:
    paces, gap_s = Paces(), ENOUGH_S / 20
    observed(paces, gap_s, 200 * gap_s)  # until the rate is known
    count, found = observed(paces, gap_s, 1.0)
    assert count == pytest.approx(1.0 / gap_s, abs=1)
    assert found == pytest.approx(1.0 / ENOUGH_S, rel=0.15)
    assert paces.gap_s(PLAN.model) == pytest.approx(gap_s, rel=0.01), "all arrivals count"


def test_probe_is_always_observed() -> None:
    paces, gap_s = Paces(), ENOUGH_S / 20
    observed(paces, gap_s, 200 * gap_s)
    at = 100.0 + 200 * gap_s
    assert not paces.observes(PLAN, A, "r-1", at) or not paces.observes(PLAN, A, "r-1", at)
    assert paces.observes(replace(PLAN, probe=A.id), A, "r-1", at)


def test_prompts_in_caches_are_noted_for_every_attempt() -> None:
    paces, gap_s, prefix = Paces(), ENOUGH_S / 20, Prefix((1, 2, 3), 1)
    observed(paces, gap_s, 200 * gap_s)
    at, key = 100.0 + 200 * gap_s, A.keys[0]
    plan = replace(PLAN, prefix=prefix)
    while paces.observes(plan, A, "r-1", at, key=key):
        pass
    assert paces.prefixes.matched(domain_of(A, key), prefix.blocks, at) == 3
