"""The next step after each failure of the taxonomy, and the limits that always hold."""

import sys
from collections.abc import Sequence
from types import FrameType

import pytest
from msgspec.structs import replace

from fakes.routing import (
    NOW,
    FakeView,
    ScriptedRandom,
    Trace,
    answers,
    attempt,
    call,
    drive,
    endpoint,
    failure,
    plan_for,
    snapshot,
    snapshot_of,
    step_after,
)
from pointsman.domain import failures
from pointsman.domain.failures import Failure, Kind
from pointsman.domain.outcomes import PastAttempt
from pointsman.domain.plans import Await, GiveUp, Try, without
from pointsman.domain.snapshots import FALLBACK_CAUSES, Failover, Snapshot
from pointsman.domain.targets import candidate
from pointsman.domain.verdicts import Reason, Verdict
from pointsman.routing import health
from pointsman.routing.failover import is_repeat
from pointsman.routing.fallbacks import cause_of
from pointsman.routing.same_target import LONGEST_PAUSE_S, REPEATED_ONCE

A, B, C = (endpoint(name) for name in "abc")
TWO_KEYS = endpoint("a", "k1", "k2")
FALLBACK = "fallback"
DEFAULT = Failover()
LIMITED = failure(failures.UPSTREAM_RATE_LIMITED)


def run(configuration: Snapshot, *outcomes: Failure | Kind | None, tokens: int | None = None) -> Trace:
    view = FakeView(configuration, tokens=tokens)
    return drive(plan_for(call(), view), view, answers(*outcomes))


@pytest.mark.parametrize("stream", [False, True])
def test_first_step_of_a_healthy_request_takes_few_calls(stream: bool) -> None:
    """Every request pays for it. Calls are counted, since time depends on the machine."""
    view = FakeView(snapshot_of(A, B, C))
    plan = replace(plan_for(call(), view), stream=stream)
    calls: list[str] = []

    def count(frame: FrameType, event: str, what: object) -> None:
        if event in ("call", "c_call"):
            calls.append(frame.f_code.co_name)

    sys.setprofile(count)
    try:
        step = step_after(plan, (), view, NOW)
    finally:
        sys.setprofile(None)
    assert isinstance(step, Try)
    assert (step.timeout_s, step.head_s) == (300, 30 if stream else None)
    assert len(calls) <= 8, calls


def test_success_ends_the_plan() -> None:
    trace = run(snapshot_of(A, B), None)
    assert trace.attempted == [("a/m", "k1")]
    assert trace.has_succeeded


@pytest.mark.parametrize("kind", [failures.CONNECT_FAILED, failures.UPSTREAM_ERROR, failures.COMMIT_TIMEOUT])
def test_provider_failure_fails_over_at_once(kind: Kind) -> None:
    trace = run(snapshot_of(A, B), kind, None, tokens=0)
    assert trace.attempted == [("a/m", "k1"), ("b/m", "k1")]
    assert trace.waits == []


def test_provider_failure_prefers_another_provider_to_another_model() -> None:
    targets = [candidate(A, "m"), candidate(A, "n"), candidate(B, "m")]
    trace = run(snapshot([A, B], targets), failures.UPSTREAM_ERROR)
    assert [name for name, _ in trace.attempted][:3] == ["a/m", "b/m", "a/n"]


def test_first_try_at_a_candidate_is_free() -> None:
    of_one = snapshot([A], [candidate(A, "m"), candidate(A, "n")])
    assert run(of_one, failures.UPSTREAM_ERROR, tokens=0).attempted == [("a/m", "k1"), ("a/n", "k1")]
    many = [endpoint(name) for name in "abcde"]
    trace = run(snapshot_of(*many), failures.UPSTREAM_ERROR, tokens=0)
    assert [name for name, _ in trace.attempted] == ["a/m", "b/m", "c/m", "d/m", "e/m"]


def test_only_provider_is_retried_after_a_pause_while_tokens_last() -> None:
    trace = run(snapshot_of(A), failures.UPSTREAM_ERROR, failures.UPSTREAM_ERROR, None, tokens=2)
    assert trace.attempted == [("a/m", "k1")] * 3
    assert len(trace.waits) == 2
    assert all(0 < wait.delay_s <= LONGEST_PAUSE_S * 1.25 for wait in trace.waits)
    assert trace.waits[1].delay_s > trace.waits[0].delay_s


def test_retry_of_the_only_provider_spends_a_token() -> None:
    trace = run(snapshot_of(A), failures.UPSTREAM_ERROR, tokens=0)
    assert trace.attempted == [("a/m", "k1")]
    assert trace.waits == []


def test_retry_of_the_only_provider_uses_an_untried_key() -> None:
    trace = run(snapshot_of(TWO_KEYS), failures.UPSTREAM_ERROR, None)
    assert len(set(trace.attempted)) == 2
    assert len(trace.waits) == 1


def test_failed_provider_beside_a_limited_one_is_not_retried_without_tokens() -> None:
    trace = run(snapshot_of(A, B), failures.UPSTREAM_ERROR, failure(failures.UPSTREAM_RATE_LIMITED, 60), tokens=0)
    assert trace.attempted == [("a/m", "k1"), ("b/m", "k1")]


def test_pauses_of_different_plans_differ() -> None:
    delays: list[float] = []
    for jitter in (0.0, 0.9):
        view = FakeView(snapshot_of(A))
        plan = plan_for(call(), view, ScriptedRandom(jitter))
        delays.append(drive(plan, view, answers(failures.UPSTREAM_ERROR, None)).waits[0].delay_s)
    assert delays == [pytest.approx(0.1875), pytest.approx(0.3)]


@pytest.mark.parametrize("kind", [failures.CREDENTIAL_REJECTED, failures.UPSTREAM_RATE_LIMITED])
def test_rejected_key_is_followed_by_another_key_of_the_provider(kind: Kind) -> None:
    trace = run(snapshot_of(TWO_KEYS, B), kind, None, tokens=0)
    assert [name for name, _ in trace.attempted] == ["a/m", "a/m"]
    assert len(set(trace.attempted)) == 2
    assert trace.waits == []


@pytest.mark.parametrize("kind", [failures.CREDENTIAL_REJECTED, failures.UPSTREAM_RATE_LIMITED])
def test_provider_follows_when_every_key_is_rejected(kind: Kind) -> None:
    assert [name for name, _ in run(snapshot_of(TWO_KEYS, B), kind, kind, None, tokens=0).attempted] == [
        "a/m",
        "a/m",
        "b/m",
    ]


def test_rejected_credential_is_not_retried() -> None:
    trace = run(snapshot_of(A), failures.CREDENTIAL_REJECTED)
    assert len(trace.attempted) == 1
    assert trace.end.failure.kind is failures.CREDENTIAL_REJECTED


def test_rejected_key_is_not_retried_after_the_other_failed() -> None:
    trace = run(
        snapshot_of(TWO_KEYS), failures.CREDENTIAL_REJECTED, failures.UPSTREAM_ERROR, failures.UPSTREAM_ERROR, None
    )
    assert trace.attempted.count(trace.attempted[0]) == 1
    assert trace.has_succeeded


def test_rejected_key_is_not_retried_by_its_plan_after_its_block() -> None:
    view = FakeView(snapshot_of(TWO_KEYS))
    script = answers(failures.CREDENTIAL_REJECTED, failures.UPSTREAM_ERROR, None)
    trace = drive(plan_for(call(), view), view, script, duration_s=2 * health.CREDENTIAL_BLOCK_S)
    assert trace.attempted[2] == trace.attempted[1]


def test_untried_key_precedes_a_recovered_provider() -> None:
    view = FakeView(snapshot_of(A, endpoint("b", "k1", "k2")))
    plan = plan_for(call(), view)
    history = [PastAttempt("b/m", "b", "m", "k1", NOW, NOW, failure=failure(failures.CREDENTIAL_REJECTED))]
    view.block("b", "k1", failures.CREDENTIAL_REJECTED, NOW + 10)
    step = step_after(plan, history, view, NOW)
    assert isinstance(step, Try)
    assert (step.choice.candidate.id, step.key.name) == ("b/m", "k2")


def test_recovered_key_follows_untried_keys() -> None:
    trace = run(snapshot_of(A, B, C), failure(failures.UPSTREAM_RATE_LIMITED, 0.001), failures.UPSTREAM_ERROR, None)
    assert [name for name, _ in trace.attempted] == ["a/m", "b/m", "c/m"]


def test_limited_key_is_retried_after_its_retry_after() -> None:
    trace = run(snapshot_of(A), failure(failures.UPSTREAM_RATE_LIMITED, 2), None)
    assert len(trace.attempted) == 2
    assert trace.history[1].started_at >= trace.history[0].ended_at + 2
    assert [wait.reason for wait in trace.waits] == ["every key is rate limited"]


def test_limited_key_is_not_used_by_later_plans() -> None:
    view = FakeView(snapshot_of(TWO_KEYS, B))
    limited = drive(plan_for(call(), view), view, answers(failure(failures.UPSTREAM_RATE_LIMITED, 30), None))
    blocked = limited.attempted[0]
    for offset_s in (0.0, 10.0, 29.9):
        later = limited.now + offset_s
        assert blocked not in drive(plan_for(call(), view, now=later), view, answers(None), later).attempted
    later = limited.history[0].ended_at + 30.01
    assert drive(plan_for(call(), view, now=later), view, answers(None), later).attempted == [blocked]


def test_first_limited_key_to_recover_is_used() -> None:
    limits = [failure(failures.UPSTREAM_RATE_LIMITED, 1), failure(failures.UPSTREAM_RATE_LIMITED, 3)]
    trace = run(snapshot_of(TWO_KEYS), *limits, None)
    assert trace.attempted[2] == trace.attempted[0]
    assert trace.now < NOW + 1.5


def test_recovered_key_is_used_while_another_stays_blocked() -> None:
    limits = [failure(failures.UPSTREAM_RATE_LIMITED, 1), failure(failures.UPSTREAM_RATE_LIMITED, 60)]
    assert run(snapshot_of(TWO_KEYS), *limits, None).has_succeeded


def test_recovered_key_precedes_a_failed_provider() -> None:
    trace = run(
        snapshot_of(A, B), failure(failures.UPSTREAM_RATE_LIMITED, 0.1), failures.UPSTREAM_ERROR, None, tokens=5
    )
    assert trace.attempted[2] == ("a/m", "k1")


def test_wait_for_a_quota_is_bounded_by_the_queue_timeout() -> None:
    trace = run(snapshot_of(A, queue_s=2), failure(failures.UPSTREAM_RATE_LIMITED, 2.5))
    assert trace.waits == []
    assert trace.end.failure.kind is failures.UPSTREAM_RATE_LIMITED
    assert trace.end.should_retry
    assert trace.end.failure.retry_after_s == 2.5


def test_wait_for_a_quota_ends_before_the_deadline() -> None:
    view = FakeView(snapshot_of(A))
    trace = drive(plan_for(call(timeout_s=1), view), view, answers(failure(failures.UPSTREAM_RATE_LIMITED, 2)))
    assert trace.waits == []


def test_ended_block_causes_no_wait() -> None:
    view = FakeView(snapshot_of(A), tokens=0)
    view.block("a", "k1", failures.UPSTREAM_RATE_LIMITED, NOW - 1)
    plan = plan_for(call(), view)
    history = [PastAttempt("a/m", "a", "m", "k1", NOW, NOW, failure=failure(failures.UPSTREAM_ERROR))]
    assert isinstance(step_after(plan, history, view, NOW), GiveUp)


def test_failure_of_blocked_keys_lists_the_excluded_candidates() -> None:
    view = FakeView(snapshot_of(A, B))
    plan = plan_for(call(), view)
    excluded = plan.choices[1].candidate
    plan = without(plan, excluded, Verdict(excluded.id, "billing", Reason("over_budget", "the budget has $1 left")))
    view.block("a", "k1", failures.CREDENTIAL_REJECTED, NOW + 60)
    step = step_after(plan, (), view, NOW)
    assert isinstance(step, GiveUp)
    assert "a/m (key k1): " in step.failure.message
    assert step.failure.message.endswith("(blocked for another 60 s); b/m: the budget has $1 left")


def test_queue_timeout_bounds_the_sum_of_waits() -> None:
    trace = run(snapshot_of(A, queue_s=2, max_attempts=9), failure(failures.UPSTREAM_RATE_LIMITED, 0.9))
    assert len(trace.attempted) == 3
    assert sum(wait.delay_s for wait in trace.waits) <= 2


def test_plan_with_only_limited_keys_waits_before_its_first_attempt() -> None:
    view = FakeView(snapshot_of(A))
    view.block("a", "k1", failures.UPSTREAM_RATE_LIMITED, NOW + 1)
    trace = drive(plan_for(call(), view), view, answers(None))
    assert trace.has_succeeded
    assert trace.history[0].started_at >= NOW + 1


@pytest.mark.parametrize("history", [(), (PastAttempt("a/m", "a", "m", "k1", NOW, NOW, failure=LIMITED),)])
def test_request_uses_the_key_it_waited_for_despite_a_new_block(
    history: tuple[PastAttempt, ...],
) -> None:
    view = FakeView(snapshot_of(A, queue_s=2))
    view.block("a", "k1", failures.UPSTREAM_RATE_LIMITED, NOW + 1)
    plan = plan_for(call(), view)
    wait = step_after(plan, history, view, NOW)
    assert isinstance(wait, Await)
    view.block("a", "k1", failures.UPSTREAM_RATE_LIMITED, NOW + 2.5)
    step = step_after(plan, history, view, NOW + 1, wait.then)
    assert isinstance(step, Try)
    assert step.key.name == "k1"
    failed_again = (*history, attempt(step, LIMITED, NOW + 1))
    step = step_after(plan, failed_again, view, NOW + 1.1)
    assert isinstance(step, GiveUp)
    assert step.should_retry


def test_rejected_credentials_cause_no_wait() -> None:
    view = FakeView(snapshot_of(A))
    view.block("a", "k1", failures.CREDENTIAL_REJECTED, NOW + 1)
    trace = drive(plan_for(call(), view), view, answers(None))
    assert trace.attempted == []
    assert trace.end.failure.kind is failures.NO_TARGET
    assert "a/m (key k1)" in trace.end.failure.message


def test_breaker_opened_after_planning_moves_its_candidate_last() -> None:
    view = FakeView(snapshot_of(A, B, C))
    plan = plan_for(call(), view)
    view.open_breaker("b/m", NOW + 60)
    trace = drive(plan, view, answers(failures.UPSTREAM_ERROR))
    assert [name for name, _ in trace.attempted][:3] == ["a/m", "c/m", "b/m"]


def test_candidate_without_a_free_connection_comes_last() -> None:
    view = FakeView(snapshot_of(A, B, C))
    view.saturated.add((A.network, A.origin))
    trace = drive(plan_for(call(), view), view, answers(failures.UPSTREAM_ERROR))
    assert [name for name, _ in trace.attempted][:3] == ["b/m", "c/m", "a/m"]
    plan = plan_for(call(), FakeView(view.snapshot))
    view.saturated = {(B.network, B.origin)}
    trace = drive(plan, view, answers(failures.UPSTREAM_ERROR))
    assert [name for name, _ in trace.attempted][:3] == ["a/m", "c/m", "b/m"], (
        "also if the connections ran out after the plan was made"
    )
    view.saturated.add((A.network, A.origin))
    assert drive(plan_for(call("a/m"), view), view, answers(None)).attempted == [("a/m", "k1")]


def test_second_plan_does_not_join_a_trial() -> None:
    view = FakeView(snapshot_of(A, B, C))
    first, second = plan_for(call(), view), plan_for(call(), view)
    view.conditions["b/m"] = health.Condition(health.LIMITS.failures, 1, NOW - 1)
    dead = failure(failures.UPSTREAM_ERROR)
    started = step_after(first, (), view, NOW)
    assert isinstance(started, Try)
    history = [attempt(started, dead, NOW)]
    trial = step_after(first, history, view, NOW)
    assert isinstance(trial, Try)
    assert trial.choice.candidate.id == "b/m"
    view.begin(trial, history, NOW)
    other = step_after(second, history, view, NOW)
    assert isinstance(other, Try)
    assert other.choice.candidate.id == "c/m"


@pytest.mark.parametrize(
    ("causes", "kind", "is_covered"),
    [
        (FALLBACK_CAUSES[:5], failures.CONTENT_FILTERED, False),
        (["content_filter"], failures.CONTENT_FILTERED, True),
        (["rejection"], failures.UPSTREAM_REFUSED, True),
        (["refusal"], failures.UPSTREAM_REFUSED, False),
        (["refusal"], failures.CONTENT_FILTERED, False),
        (["context_length"], failures.CONTEXT_TOO_LONG, True),
        (["provider"], failures.CONTEXT_TOO_LONG, False),
        (["unsupported"], failures.UPSTREAM_UNSUPPORTED, True),
        (["model_missing"], failures.UPSTREAM_MODEL_MISSING, True),
        (["provider"], failures.UPSTREAM_MODEL_MISSING, False),
        (["provider"], failures.COMMIT_TIMEOUT, True),
        (["quota"], failures.COMMIT_TIMEOUT, False),
        (["quota"], failures.UPSTREAM_RATE_LIMITED, True),
        (["provider", "credential"], failures.UPSTREAM_RATE_LIMITED, False),
        (["credential"], failures.CREDENTIAL_REJECTED, True),
    ],
)
def test_declared_fallback_covers_only_configured_failures(causes: Sequence[str], kind: Kind, is_covered: bool) -> None:
    assert (cause_of(kind) in causes) is is_covered
    trace = run(snapshot_of(A, B, fallbacks=1, failover=Failover(frozenset(causes))), failure(kind, 60), None, tokens=0)
    assert [name for name, _ in trace.attempted] == (["a/m", "b/m"] if is_covered else ["a/m"])


def test_fallback_for_other_failures_is_not_tried_first() -> None:
    """No attempt was made, but the target is excluded for none of the failures in `fallback_on`."""
    for causes, is_open in ((["provider"], False), (["provider", "quota"], True)):
        view = FakeView(snapshot_of(A, B, fallbacks=1, queue_s=0, failover=Failover(frozenset(causes))))
        view.block("a", "k1", failures.UPSTREAM_RATE_LIMITED, NOW + 60)
        trace = drive(plan_for(call(), view), view, answers(None))
        assert trace.has_succeeded is is_open
    for causes, first in ((["quota"], "a/m"), (["provider"], "b/m")):
        view = FakeView(snapshot_of(A, B, fallbacks=1, failover=Failover(frozenset(causes))))
        view.open_breaker("a/m", NOW + 60)
        assert drive(plan_for(call(), view), view, answers(None)).attempted == [(first, "k1")]


def test_fallback_replaces_excluded_targets() -> None:
    view = FakeView(snapshot_of(A, B, fallbacks=1, failover=Failover(frozenset({"quota"}))))
    plan = plan_for(call(), view)
    excluded = plan.choices[0].candidate
    plan = without(plan, excluded, Verdict(excluded.id, "billing", Reason("over_budget", "the budget has $1 left")))
    assert drive(plan, view, answers(None)).attempted == [("b/m", "k1")]


REFUSALS = [failures.UPSTREAM_REFUSED, failures.CONTEXT_TOO_LONG, failures.CONTENT_FILTERED]


@pytest.mark.parametrize("kind", REFUSALS)
def test_rejected_request_is_not_sent_to_another_target(kind: Kind) -> None:
    trace = run(snapshot_of(TWO_KEYS, B), kind)
    assert len(trace.attempted) == 1
    assert trace.end.failure == trace.history[0].failure
    assert not trace.end.should_retry


def test_declared_fallback_serves_failures_of_the_model() -> None:
    trace = run(snapshot_of(A, B, C, fallbacks=1), failures.CONTEXT_TOO_LONG, None, tokens=0)
    assert [name for name, _ in trace.attempted] == ["a/m", "c/m"]
    assert run(snapshot_of(A, B, C, fallbacks=1), failures.UPSTREAM_REFUSED).attempted == [("a/m", "k1")]


def test_missing_model_fails_over_to_the_next_provider() -> None:
    trace = run(snapshot_of(A, B, C), failures.UPSTREAM_MODEL_MISSING, failures.UPSTREAM_MODEL_MISSING, None)
    assert trace.attempted == [("a/m", "k1"), ("b/m", "k1"), ("c/m", "k1")]
    trace = run(snapshot_of(A, B, C), failures.UPSTREAM_MODEL_MISSING, failures.CONTEXT_TOO_LONG, None)
    assert trace.attempted == [("a/m", "k1"), ("b/m", "k1")], "targets stay excluded after any other rejection"


def test_fallback_that_rejects_is_not_retried_with_another_key() -> None:
    trace = run(snapshot_of(A, endpoint("b", "k1", "k2"), fallbacks=1), failures.CONTEXT_TOO_LONG)
    assert [name for name, _ in trace.attempted] == ["a/m", "b/m"]


def test_targets_stay_excluded_after_a_rejected_request() -> None:
    trace = run(snapshot_of(A, B, C, fallbacks=1), failures.CONTEXT_TOO_LONG, failures.UPSTREAM_ERROR)
    assert {name for name, _ in trace.attempted[1:]} == {"c/m"}
    limited = failure(failures.UPSTREAM_RATE_LIMITED, 0.5)
    trace = run(snapshot_of(A, B, C, fallbacks=1), failures.CONTEXT_TOO_LONG, limited, None)
    assert [name for name, _ in trace.attempted] == ["a/m", "c/m", "c/m"]


def test_last_rejection_is_returned_in_the_words_of_the_provider() -> None:
    trace = run(snapshot_of(A, B, max_attempts=2), failures.UPSTREAM_ERROR, failures.CONTEXT_TOO_LONG)
    assert trace.end.failure == trace.history[-1].failure


def test_disconnected_client_ends_the_plan() -> None:
    trace = run(snapshot_of(TWO_KEYS, B), failures.CLIENT_GONE)
    assert len(trace.attempted) == 1
    assert trace.end.failure.kind is failures.CLIENT_GONE


def pinned(*outcomes: Failure | Kind | None) -> Trace:
    view = FakeView(snapshot_of(TWO_KEYS, B))
    return drive(plan_for(call(stateful=True), view), view, answers(*outcomes))


@pytest.mark.parametrize("kind", [failures.CONNECTION_LOST, failures.UPSTREAM_RATE_LIMITED, failures.UPSTREAM_ERROR])
def test_pinned_call_is_not_retried_after_bytes_were_sent(kind: Kind) -> None:
    assert len(pinned(kind).attempted) == 1


def test_pinned_call_is_retried_while_nothing_was_sent() -> None:
    assert len(pinned(failures.CONNECT_FAILED, None).attempted) == 2


def test_pinned_call_has_all_the_remaining_time() -> None:
    assert pinned(None).tries[0].timeout_s == 600


def test_max_attempts_bounds_tries_and_rotations_separately() -> None:
    many = endpoint("a", *[f"k{number}" for number in range(9)])
    assert len(run(snapshot_of(many, B, C, max_attempts=3), failures.UPSTREAM_ERROR).attempted) == 3
    for kind in (failures.UPSTREAM_RATE_LIMITED, failures.CREDENTIAL_REJECTED):
        attempted = [name for name, _ in run(snapshot_of(many, B, C, max_attempts=3), kind).attempted]
        assert attempted == ["a/m"] * 4 + ["b/m", "c/m"]


@pytest.mark.parametrize("kind", [failures.CREDENTIAL_REJECTED, failures.UPSTREAM_RATE_LIMITED])
def test_rejected_keys_leave_attempts_for_other_candidates(kind: Kind) -> None:
    assert run(snapshot_of(TWO_KEYS, B, max_attempts=2), kind, kind, None).attempted[-1] == ("b/m", "k1")
    assert run(snapshot_of(TWO_KEYS, max_attempts=1), kind, None).has_succeeded


def test_charged_answer_is_retried_once_at_most() -> None:
    for kind in REPEATED_ONCE:
        assert len(run(snapshot_of(A), kind).attempted) == 2
        assert len(run(snapshot_of(A, B), kind).attempted) == 4
    lost = failure(failures.CONNECTION_LOST)
    assert len(run(snapshot_of(A), replace(lost, status=200)).attempted) == 2, "the provider had begun to answer"
    assert len(run(snapshot_of(A), lost).attempted) == 5
    assert len(run(snapshot_of(A), failures.UPSTREAM_ERROR, failures.MALFORMED_ANSWER).attempted) == 3
    assert len(run(snapshot_of(A), failures.UPSTREAM_ERROR).attempted) == 5


def test_gateway_failure_fails_over() -> None:
    trace = run(snapshot_of(TWO_KEYS, B), failures.OVERLOADED_GATEWAY, None, tokens=0)
    assert [name for name, _ in trace.attempted] == ["a/m", "b/m"]
    end = run(snapshot_of(A), failures.OVERLOADED_GATEWAY, tokens=0).end
    assert end.failure.kind is failures.OVERLOADED_GATEWAY


def test_pause_does_not_overflow_after_many_attempts() -> None:
    trace = run(snapshot_of(A, max_attempts=1500), failures.UPSTREAM_ERROR)
    assert trace.end.failure.kind is failures.UPSTREAM_ERROR


def test_final_failure_lists_each_attempt_with_outcome_and_duration() -> None:
    end = run(snapshot_of(A, B), failures.UPSTREAM_ERROR, failures.CREDENTIAL_REJECTED, tokens=0).end
    assert end.failure.kind is failures.ALL_ATTEMPTS_FAILED
    assert end.failure.message == (
        "all 2 attempts failed. a/m (key k1, 0.01 s): said upstream_error; "
        "b/m (key k1, 0.01 s): said upstream_credential_rejected"
    )
    assert not end.should_retry


def test_single_kind_of_failure_keeps_its_code_and_only_quota_allows_a_retry() -> None:
    end = run(snapshot_of(A, B), failures.UPSTREAM_OVERLOADED, tokens=0).end
    assert (end.failure.kind, end.should_retry) == (failures.UPSTREAM_OVERLOADED, False)
    limits = [failure(failures.UPSTREAM_RATE_LIMITED, 30), failure(failures.UPSTREAM_RATE_LIMITED, 20)]
    end = run(snapshot_of(A, B), *limits).end
    assert (end.failure.retry_after_s, end.should_retry) == (20, True)


def test_step_after_a_success_is_an_internal_failure() -> None:
    view = FakeView(snapshot_of(A, B))
    plan = plan_for(call(), view)
    first = step_after(plan, (), view, NOW)
    assert isinstance(first, Try)
    step = step_after(plan, [attempt(first, None, NOW)], view, NOW)
    assert isinstance(step, GiveUp)
    assert step.failure.kind is failures.INTERNAL


def test_attempt_is_a_repeat_if_its_candidate_failed_before() -> None:
    def after(*kinds: tuple[str, Kind]) -> list[PastAttempt]:
        return [PastAttempt(f"{name}/m", name, "m", "k1", NOW, NOW, failure=failure(kind)) for name, kind in kinds]

    dead, limited = failures.UPSTREAM_ERROR, failures.UPSTREAM_RATE_LIMITED
    assert not is_repeat("a/m", ())
    assert not is_repeat("b/m", after(("a", dead)))
    assert is_repeat("a/m", after(("a", dead)))
    assert not is_repeat("a/n", after(("a", dead)))
    assert not is_repeat("c/m", after(("a", dead), ("b", dead)))
    assert not is_repeat("a/m", after(("a", limited)))
    assert is_repeat("a/m", after(("a", dead), ("b", limited)))
