"""The time limits of an attempt, and the time after which none begins."""

from msgspec.structs import replace

from fakes.routing import (
    NOW,
    FakeView,
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
from pointsman.domain.plans import GiveUp, Try
from pointsman.domain.snapshots import Failover, Timeouts
from pointsman.domain.targets import Candidate, Endpoint, candidate

A, B, C = (endpoint(name) for name in "abc")
TWO_KEYS = endpoint("a", "k1", "k2")
FALLBACK = "fallback"
DEFAULT = Failover()
LIMITED = failure(failures.UPSTREAM_RATE_LIMITED)


def test_attempt_gets_half_of_the_remaining_time_and_the_last_all_of_it() -> None:
    view = FakeView(snapshot_of(A, B, C))
    trace = drive(plan_for(call(), view), view, answers(failures.COMMIT_TIMEOUT), duration_s=1e9)
    assert [step.timeout_s for step in trace.tries] == [300, 150, 150]
    assert trace.now == NOW + 600


def limits(*choices: Endpoint, stream: bool, view: FakeView | None = None, **fields: float | None) -> Try:
    """Return the first step of a plan, for a stream or another answer."""
    configuration = snapshot_of(*choices)
    names = {"first_token_s": fields.pop("first_token_s", None)}
    routing = replace(
        configuration.routing, timeouts=replace(Timeouts(), **fields), failover=replace(Failover(), **names)
    )
    view = view or FakeView(configuration)
    view.snapshot = replace(configuration, routing=routing)
    step = step_after(plan_for(replace(call(), stream=stream), view), (), view, NOW)
    assert isinstance(step, Try)
    return step


def test_stream_has_less_time_for_its_head_while_another_candidate_is_left() -> None:
    step = limits(A, B, stream=True)
    assert (step.timeout_s, step.head_s, step.content_s) == (300, 30, 300)
    step = limits(A, B, stream=True, stream_head_s=4.0, first_token_s=8.0)
    assert (step.head_s, step.content_s) == (4, 8)
    step = limits(A, B, stream=True, first_token_s=8.0)
    assert (step.head_s, step.content_s) == (8, 8), "the head is due no later than the content"
    assert limits(A, stream=True, first_token_s=8.0).head_s is None
    assert limits(A, B, stream=False, first_token_s=8.0).head_s is None


def test_silent_stream_is_not_abandoned_for_an_unusable_candidate() -> None:
    view = FakeView(snapshot_of(A, B))
    view.open_breaker("b/m", NOW + 60)
    assert limits(A, B, stream=True, view=view).head_s is None
    view.open_breaker("b/m", NOW + 10)
    assert limits(A, B, stream=True, view=view).head_s == 30
    view.block("b", "k1", failures.UPSTREAM_RATE_LIMITED, NOW + 60)
    assert limits(A, B, stream=True, view=view).head_s is None


def test_unstreamed_answer_has_its_configured_time() -> None:
    assert limits(A, B, stream=False).timeout_s == 300
    assert limits(A, B, stream=False, response_s=20.0).timeout_s == 20
    assert limits(A, stream=False, response_s=20.0).timeout_s == 20
    assert limits(A, B, stream=True, response_s=20.0).timeout_s == 300


def test_target_may_set_its_own_times() -> None:
    own = Candidate(id="a/m", endpoint=A, model="m", keys=A.keys, response_s=7.0, stream_head_s=3.0)
    view = FakeView(snapshot([A, B], [own, candidate(B, "m")]))
    for stream in (False, True):
        step = step_after(plan_for(replace(call(), stream=stream), view), (), view, NOW)
        assert isinstance(step, Try)
        assert (step.head_s if stream else step.timeout_s) == (3 if stream else 7)


def test_time_of_the_only_attempt_is_not_halved() -> None:
    view = FakeView(snapshot_of(A, B, max_attempts=1))
    assert drive(plan_for(call(), view), view, answers(None)).tries[0].timeout_s == 600


def test_attempt_never_begins_after_the_deadline() -> None:
    view = FakeView(snapshot_of(A, B))
    plan = plan_for(call(timeout_s=1), view)
    step = step_after(plan, (), view, NOW + 1)
    assert isinstance(step, GiveUp)
    assert step.failure.kind is failures.DEADLINE_EXCEEDED
    first = step_after(plan, (), view, NOW)
    assert isinstance(first, Try)
    late = [attempt(first, failure(), NOW, 1.0)]
    assert isinstance(step_after(plan, late, view, NOW + 1), GiveUp)


def test_pause_never_ends_after_the_deadline() -> None:
    view = FakeView(snapshot_of(A))
    trace = drive(plan_for(call(timeout_s=0.1), view), view, answers(failures.UPSTREAM_ERROR))
    assert len(trace.attempted) == 1
    assert trace.waits == []
