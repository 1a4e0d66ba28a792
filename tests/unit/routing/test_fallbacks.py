"""Declared fallbacks for one kind of failure: when they open, and when a refusal is held back for them."""

from typing import Any, cast

import pytest
from msgspec.structs import replace

from fakes.routing import NOW, FakeView, answers, call, drive, endpoint, failure, plan_for, snapshot, step_after
from pointsman.domain import failures
from pointsman.domain.failures import Failure, Kind
from pointsman.domain.plans import Choice, Plan, Try
from pointsman.domain.prices import Catalog, ModelFacts
from pointsman.domain.snapshots import Failover, Pricing, Snapshot
from pointsman.domain.targets import Candidate, candidate
from pointsman.domain.verdicts import Reason, Verdict
from pointsman.routing.explain import as_lines
from pointsman.routing.fallbacks import cause_of, causes_before, held_back, is_general, none_is_open

A, B, C, D = (endpoint(name) for name in "abcd")
BY_CAUSE = {
    "context_length": failures.CONTEXT_TOO_LONG,
    "content_filter": failures.FILTERED,
    "refusal": failures.REFUSED,
    "unsupported": failures.UPSTREAM_UNSUPPORTED,
    "model_missing": failures.UPSTREAM_MODEL_MISSING,
    "rejection": failures.UPSTREAM_REFUSED,
    "quota": failures.UPSTREAM_RATE_LIMITED,
}


def only_after(one: Any, *causes: str) -> Candidate:
    return replace(candidate(one, "m", provenance="fallback"), after=frozenset(causes))


def of(*candidates: Candidate, failover: Failover | None = None) -> Snapshot:
    return snapshot([A, B, C, D], list(candidates), failover=failover or Failover())


def names(configuration: Snapshot, *outcomes: Failure | Kind | None) -> list[str]:
    view = FakeView(configuration, tokens=0)
    return [name for name, _ in drive(plan_for(call(), view), view, answers(*outcomes)).attempted]


@pytest.mark.parametrize("cause", BY_CAUSE)
def test_fallback_for_a_cause_serves_after_that_cause_alone(cause: str) -> None:
    kind = BY_CAUSE[cause]
    assert cause_of(kind) == cause
    fitting = of(candidate(A, "m"), only_after(B, cause))
    assert names(fitting, failure(kind, 60), None) == ["a/m", "b/m"]
    assert names(fitting, failures.CONTENT_FILTERED if cause != "content_filter" else failures.REFUSED) == ["a/m"]
    assert names(fitting, failures.UPSTREAM_ERROR) == ["a/m"]


def test_fallbacks_for_a_cause_come_before_those_for_all_purposes() -> None:
    both = Failover(frozenset({"refusal", "provider"}))
    general = candidate(D, "m", provenance="fallback")
    configured = of(candidate(A, "m"), only_after(B, "refusal"), only_after(C, "quota"), general, failover=both)
    assert names(configured, failures.REFUSED, failures.REFUSED, None) == ["a/m", "b/m", "d/m"]
    assert names(configured, failures.UPSTREAM_ERROR, None) == ["a/m", "d/m"]


def test_target_may_be_a_fallback_for_another_target() -> None:
    configured = of(candidate(A, "m"), replace(candidate(B, "m"), after=frozenset({"refusal"})))
    assert names(configured, failures.REFUSED, None) == ["a/m", "b/m"]
    assert names(configured, failures.FILTERED) == ["a/m"]
    assert names(configured, failures.UPSTREAM_ERROR, None) == ["a/m", "b/m"]


def test_attempts_are_bounded_over_all_fallbacks() -> None:
    configured = of(candidate(A, "m"), only_after(B, "refusal"), only_after(C, "refusal"))
    view = FakeView(configured, tokens=0)
    plan = replace(plan_for(call(), view), max_attempts=2)
    assert [name for name, _ in drive(plan, view, answers(failures.REFUSED)).attempted] == ["a/m", "b/m"]


def test_refusal_is_held_while_another_candidate_is_for_it() -> None:
    view = FakeView(of(candidate(A, "m"), only_after(B, "refusal"), only_after(C, "quota")))
    plan = plan_for(call(), view)
    first = step_after(plan, (), view, NOW)
    assert isinstance(first, Try)
    assert first.held == {failures.REFUSED}
    assert held_back(replace(plan, pinned=True), (), plan.choices[0].candidate) == frozenset()
    assert held_back(replace(plan, max_attempts=1), (), plan.choices[0].candidate) == frozenset()
    assert held_back(plan, (), plan.choices[1].candidate) == frozenset()
    view = FakeView(of(candidate(A, "m"), candidate(B, "m", provenance="fallback")))
    step = step_after(plan_for(call(), view), (), view, NOW)
    assert isinstance(step, Try)
    assert not step.held


def test_fallbacks_for_all_purposes_hold_refusals_if_they_are_for_them() -> None:
    general = Failover(frozenset({"content_filter"}))
    view = FakeView(of(candidate(A, "m"), candidate(B, "m", provenance="fallback"), failover=general))
    step = step_after(plan_for(call(), view), (), view, NOW)
    assert isinstance(step, Try)
    assert step.held == {failures.FILTERED}


def test_causes_before_an_attempt_are_those_of_every_target() -> None:
    one, other, fallback = candidate(A, "m"), candidate(B, "m"), only_after(C, "context_length")
    too_long = Reason("context_window", "too long")
    verdicts = {one: Verdict(one.id, "context_window", too_long)}
    assert causes_before([one, other, fallback], verdicts) == frozenset()
    verdicts[other] = Verdict(other.id, "translation", Reason("not_expressible", "cannot"))
    found = causes_before([one, other, fallback], verdicts)
    assert found == {"context_length", "unsupported"}
    assert not none_is_open([fallback], Failover(), found)
    assert none_is_open([only_after(C, "refusal")], Failover(), found)


def test_fallback_for_a_cause_does_not_replace_targets_left_out_for_another() -> None:
    configured = of(candidate(A, "m", weight=0), only_after(B, "refusal"))
    view = FakeView(configured)
    with pytest.raises(AssertionError):  # the decision is a rejection: no attempt could open the fallback
        plan_for(call(), view)
    general = replace(only_after(B), after=Failover().fallback_on | {"refusal"})
    assert is_general(general, Failover())
    assert names(of(candidate(A, "m", weight=0), general), None) == ["b/m"]


def test_fallback_for_an_unsupported_feature_replaces_targets_without_it() -> None:
    silent = replace(A, operations=frozenset({"embedding"}))
    configured = snapshot(
        [silent, B, C], [candidate(silent, "m"), only_after(C, "refusal"), only_after(B, "unsupported")]
    )
    assert names(configured, None) == ["b/m"]


def test_plan_shows_the_causes() -> None:
    view = FakeView(of(candidate(A, "m"), only_after(B, "refusal", "content_filter")))
    plan: Plan = plan_for(call(), view)
    assert isinstance(plan.choices[1], Choice)
    assert any("only after: content_filter, refusal" in line for line in as_lines(plan, NOW))


class Windows:
    """A catalog of context windows."""

    def __init__(self, **by_provider: int) -> None:
        self._known = {name: ModelFacts(name="m", context=context) for name, context in by_provider.items()}

    def find(self, provider: str, model: str) -> ModelFacts | None:
        return self._known.get(provider)

    def name_of(self, model: str) -> str | None:
        return None


def with_windows(configuration: Snapshot, **windows: int) -> Snapshot:
    return replace(configuration, pricing=Pricing(catalog=cast("Catalog", Windows(**windows))))


def test_model_without_a_larger_window_does_not_follow_one_that_was_too_small() -> None:
    built = [replace(one, catalog=one.name) for one in (A, B, C)]
    first, second, third = built
    configured = snapshot(
        built, [candidate(first, "m"), only_after(second, "context_length"), only_after(third, "context_length")]
    )
    too_long = failures.CONTEXT_TOO_LONG
    assert names(with_windows(configured, a=100_000, b=100_000, c=200_000), too_long, None) == ["a/m", "c/m"]
    assert names(with_windows(configured, a=100_000, c=200_000), too_long, None) == ["a/m", "b/m"]
    assert names(with_windows(configured, a=200_000, b=100_000, c=200_000), too_long) == ["a/m"]


def test_target_with_a_larger_window_may_follow() -> None:
    built = [replace(one, catalog=one.name) for one in (A, B)]
    configured = snapshot(built, [candidate(one, "m") for one in built])
    assert names(with_windows(configured, a=100_000, b=200_000), failures.CONTEXT_TOO_LONG, None) == ["a/m", "b/m"]
    assert names(with_windows(configured, a=100_000), failures.CONTEXT_TOO_LONG) == ["a/m"]
    without = replace(configured, routing=replace(configured.routing, failover=Failover(frozenset({"provider"}))))
    assert names(with_windows(without, a=100_000, b=200_000), failures.CONTEXT_TOO_LONG) == ["a/m"]
