"""Repeats at the target that failed, before another candidate is tried."""

import pytest
from msgspec.structs import replace

from fakes.routing import NOW, FakeView, Trace, answers, call, drive, endpoint, failure, plan_for, snapshot_of
from pointsman.domain import failures
from pointsman.domain.failures import Failure, Kind
from pointsman.domain.plans import Try
from pointsman.domain.snapshots import Failover
from pointsman.domain.targets import Endpoint
from pointsman.routing.same_target import FIRST_PAUSE_S, LONGEST_PAUSE_S, REPEATED_ONCE, pause_s

A, B = endpoint("a"), endpoint("b")
TWO_KEYS = endpoint("a", "k1", "k2")
RETRY = Failover(same_target_retries=1)
WAIT = Failover(retry_after_wait_s=3.0)


def limited(after_s: float | None, kind: Kind = failures.UPSTREAM_RATE_LIMITED) -> Failure:
    return failure(kind, retry_after_s=after_s)


def run(
    settings: Failover,
    *outcomes: Failure | Kind | None,
    first: Endpoint = A,
    tokens: int | None = None,
    **changes: float,
) -> Trace:
    view = FakeView(snapshot_of(first, B), tokens=tokens)
    plan = plan_for(call(), view)
    routing = replace(plan.routing, failover=settings)
    return drive(replace(plan, routing=routing, **changes), view, answers(*outcomes))


def targets(trace: Trace) -> list[str]:
    return [f"{name.partition('/')[0]}.{key}" for name, key in trace.attempted]


@pytest.mark.parametrize("kind", [failures.UPSTREAM_ERROR, failures.UPSTREAM_OVERLOADED, failures.CONNECTION_LOST])
def test_target_is_tried_again_after_a_pause(kind: Kind) -> None:
    trace = run(RETRY, kind, None)
    assert targets(trace) == ["a.k1", "a.k1"]
    (wait,) = trace.waits
    assert 0.75 * FIRST_PAUSE_S <= wait.delay_s <= 1.25 * FIRST_PAUSE_S


def test_next_candidate_follows_when_the_retries_are_used_up() -> None:
    assert targets(run(RETRY, failures.UPSTREAM_ERROR, failures.UPSTREAM_ERROR, None)) == ["a.k1", "a.k1", "b.k1"]
    thrice = run(Failover(same_target_retries=2), *[failures.UPSTREAM_ERROR] * 2, None)
    assert targets(thrice) == ["a.k1"] * 3
    assert thrice.waits[1].delay_s > thrice.waits[0].delay_s


@pytest.mark.parametrize("kind", [*sorted(REPEATED_ONCE, key=str), failures.CREDENTIAL_REJECTED])
def test_silence_and_unusable_answers_and_rejected_keys_are_not_repeated(kind: Kind) -> None:
    assert targets(run(RETRY, kind, None)) == ["a.k1", "b.k1"]


def test_answer_that_breaks_off_is_not_repeated() -> None:
    cut = replace(failure(failures.CONNECTION_LOST), status=200)
    assert targets(run(RETRY, cut, None)) == ["a.k1", "b.k1"]


def test_repeat_spends_a_retry_token_and_needs_one() -> None:
    assert targets(run(RETRY, failures.UPSTREAM_ERROR, None, tokens=0)) == ["a.k1", "b.k1"]


def test_repeat_counts_in_the_most_attempts() -> None:
    trace = run(RETRY, failures.UPSTREAM_ERROR, failures.UPSTREAM_ERROR, None, max_attempts=2)
    assert targets(trace) == ["a.k1", "a.k1"]
    assert not trace.has_succeeded


def test_repeat_needs_a_closed_breaker() -> None:
    view = FakeView(snapshot_of(A, B))
    plan = plan_for(call(), view)
    plan = replace(plan, routing=replace(plan.routing, failover=Failover(same_target_retries=5)))
    trace = drive(plan, view, answers(*[failures.UPSTREAM_ERROR] * 3, None))
    assert targets(trace) == ["a.k1", "a.k1", "a.k1", "b.k1"], "three failures in a row open the breaker"


@pytest.mark.parametrize("kind", [failures.UPSTREAM_RATE_LIMITED, failures.UPSTREAM_OVERLOADED])
def test_short_retry_after_is_waited_for_at_the_same_key(kind: Kind) -> None:
    trace = run(WAIT, limited(2.0, kind), None, first=TWO_KEYS)
    assert targets(trace) == ["a.k1", "a.k1"]
    assert [wait.delay_s for wait in trace.waits] == [2.0]


@pytest.mark.parametrize("after_s", [3.1, None])
def test_long_or_missing_retry_after_is_not_waited_for(after_s: float | None) -> None:
    trace = run(WAIT, limited(after_s), None)
    assert targets(trace) == ["a.k1", "b.k1"]
    assert not trace.waits


def test_key_is_waited_for_once() -> None:
    assert targets(run(WAIT, limited(1.0), limited(1.0), None)) == ["a.k1", "a.k1", "b.k1"]


def test_retry_after_beyond_the_deadline_is_not_waited_for() -> None:
    assert targets(run(WAIT, limited(2.0), None, deadline=NOW + 1.5)) == ["a.k1", "b.k1"]


def test_longer_retry_after_than_the_wait_prevents_a_repeat() -> None:
    both = Failover(retry_after_wait_s=3.0, same_target_retries=2)
    assert targets(run(both, limited(30.0, failures.UPSTREAM_OVERLOADED), None)) == ["a.k1", "b.k1"]


def test_key_that_was_blocked_for_longer_meanwhile_is_not_waited_for() -> None:
    view = FakeView(snapshot_of(A, B))
    plan = plan_for(call(), view)
    plan = replace(plan, routing=replace(plan.routing, failover=WAIT))

    source = iter((limited(1.0), None))

    def answer(step: Try) -> Failure | None:
        view.block("a", "k1", failures.UPSTREAM_RATE_LIMITED, NOW + 50)  # by another request
        return next(source)

    trace = drive(plan, view, answer)
    assert targets(trace) == ["a.k1", "b.k1"]


def test_pauses_grow_up_to_a_limit() -> None:
    pauses = [pause_s(count, 0.5) for count in range(100)]
    assert pauses == sorted(pauses)
    assert pauses[0] == FIRST_PAUSE_S
    assert pauses[-1] == LONGEST_PAUSE_S
    assert pause_s(3, 0.0) < pause_s(3, 0.99)
