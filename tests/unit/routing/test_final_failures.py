"""The failures of plans as a whole."""

from fakes.routing import NOW, FakeView, attempt, call, endpoint, failure, plan_for, snapshot_of, step_after
from pointsman.domain import failures
from pointsman.domain.failures import Kind
from pointsman.domain.plans import Try
from pointsman.domain.quotas import Allowance, Quota
from pointsman.domain.targets import candidate
from pointsman.routing.final_failures import blocked_failure, give_up

A, B = endpoint("a"), endpoint("b")
VIEW = FakeView(snapshot_of(A, B))


def failed(*kinds: Kind) -> tuple[object, bool]:
    """Return the kind of the failure after attempts that failed in these ways, and whether a client should retry."""
    step = step_after(plan_for(call(), VIEW), (), VIEW, NOW)
    assert isinstance(step, Try)
    found = give_up([attempt(step, failure(kind, 3.0), NOW) for kind in kinds])
    return found.failure.kind, found.should_retry


def test_failure_of_several_attempts_has_their_common_kind() -> None:
    assert failed(failures.UPSTREAM_ERROR, failures.UPSTREAM_ERROR) == (failures.UPSTREAM_ERROR, False)
    assert failed(failures.UPSTREAM_ERROR, failures.COMMIT_TIMEOUT) == (failures.ALL_ATTEMPTS_FAILED, False)
    assert failed(failures.UPSTREAM_RATE_LIMITED) == (failures.UPSTREAM_RATE_LIMITED, True)
    assert failed(failures.UPSTREAM_ERROR, failures.UPSTREAM_REFUSED) == (failures.UPSTREAM_REFUSED, False)


def test_failure_without_an_attempt_lists_blocks_and_limits_and_the_first_end() -> None:
    view = FakeView(VIEW.snapshot)
    view.block("a", "k1", failures.UPSTREAM_RATE_LIMITED, NOW + 30)
    view.quotas.note(candidate(B, "m"), "k1", Quota(Allowance(60, 0)), NOW, at=NOW)
    found = blocked_failure(plan_for(call(), view), view, NOW)
    assert found.kind is failures.UPSTREAM_RATE_LIMITED
    assert found.retry_after_s == 1.5
    assert "a/m (key k1): said upstream_rate_limited (blocked for another 30 s)" in found.message
    assert "b/m: about 0 of 60 requests a minute are left at the key k1" in found.message
