"""Budgets fall to another candidate: after all others, only if such a budget left one out, and under every policy."""

import pytest
from msgspec.structs import replace

from fakes.money import limit
from fakes.routing import NOW, FakeView, ScriptedRandom, attempt, call, endpoint, failure, snapshot_of
from pointsman.domain import failures
from pointsman.domain.calls import Call, Facts
from pointsman.domain.failures import Failure
from pointsman.domain.identity import ProviderEntry, VirtualKey
from pointsman.domain.limits import Limit
from pointsman.domain.plans import Exclusion, GiveUp, NextRound, Plan, Progress, Try
from pointsman.domain.verdicts import Reason, Verdict
from pointsman.money.terms import limits_for
from pointsman.routing.decide import decide
from pointsman.routing.explain import as_data, as_lines
from pointsman.routing.failover import next_step
from pointsman.routing.view import Exhausted

A, B, CHEAP = (endpoint(name) for name in ("a", "b", "cheap"))
BUDGET = replace(limit("usd", 100), then="cheap/m")
OTHER = limit("requests", 5)
NO_ROOM = Reason("over_budget", "no room", then=("cheap/m",))


def key(*limits: Limit, providers: tuple[str, ...] = ()) -> VirtualKey:
    entries = {name: ProviderEntry(name) for name in providers}
    return VirtualKey(name="me", digest=b"", limits=limits or (BUDGET, OTHER), entries=entries)


def view_of() -> FakeView:
    configuration = snapshot_of(A, B)
    return FakeView(replace(configuration, endpoints={one.name: one for one in (A, B, CHEAP)}))


def plan_of(view: FakeView, request: Call | None = None, by: VirtualKey | None = None) -> Plan:
    plan = decide(Facts(request or call(), by or key()), view, ScriptedRandom(0.0), NOW)
    assert isinstance(plan, Plan), plan.message
    return plan


def left_out(plan: Plan, *numbers: int, reason: Reason = NO_ROOM, may_fit: bool = False) -> tuple[Exclusion, ...]:
    items = [plan.choices[number].candidate for number in numbers]
    return tuple(Exclusion(item, Verdict(item.id, "billing", reason), may_fit) for item in items)


def test_cheaper_model_is_tried_at_once_after_all_others_had_no_room() -> None:
    view = view_of()
    plan = plan_of(view)
    assert [choice.candidate.id for choice in plan.choices] == ["a/m", "b/m"]
    second = next_step(plan, Progress(excluded=left_out(plan, 0, may_fit=True)), view, NOW)
    assert isinstance(second, Try)
    assert second.choice.candidate.id == "b/m"
    step = next_step(plan, Progress(excluded=left_out(plan, 0, 1, may_fit=True)), view, NOW)
    assert isinstance(step, Try)
    assert step.choice.candidate.id == "cheap/m"
    assert any("cheap/m if a budget has no room" in line for line in as_lines(plan, NOW))
    assert "then" in str(as_data(plan, NOW))


@pytest.mark.parametrize("reason", [Reason("over_budget", "another"), Reason("over_rate_limit", "requests")])
def test_cheaper_model_is_not_tried_if_other_limits_had_no_room(reason: Reason) -> None:
    view = view_of()
    plan = plan_of(view)
    assert isinstance(next_step(plan, Progress(excluded=left_out(plan, 0, 1, reason=reason)), view, NOW), GiveUp)
    waiting = Progress(excluded=left_out(plan, 0, 1, reason=reason, may_fit=True))
    assert isinstance(next_step(plan, waiting, view, NOW), NextRound)


def test_cheaper_model_follows_failures_but_not_a_rejection_of_the_request() -> None:
    view = view_of()
    plan = plan_of(view)
    out = left_out(plan, 0)
    second = next_step(plan, Progress(excluded=out), view, NOW)
    assert isinstance(second, Try)
    failed = Progress(excluded=out, history=(attempt(second, failure(), NOW),))
    step = next_step(plan, failed, view, NOW + 0.01)
    assert isinstance(step, Try)
    assert step.choice.candidate.id == "cheap/m"
    rejected = Progress(excluded=out, history=(attempt(second, failure(failures.UPSTREAM_REFUSED), NOW),))
    assert isinstance(next_step(plan, rejected, view, NOW + 0.01), GiveUp)


def test_cheaper_model_is_the_plan_while_the_budget_is_known_to_be_exhausted() -> None:
    view = view_of()
    view.exhausted[BUDGET.counter] = Exhausted(BUDGET, NOW + 1, NOW + 60, 1_800_000_000)
    plan = plan_of(view)
    assert [choice.candidate.id for choice in plan.choices] == ["cheap/m"]
    assert {verdict.candidate for verdict in plan.verdicts} == {"a/m", "b/m"}
    assert "has nothing left until 2027-01-15T08:00:00Z" in plan.verdicts[0].reason.message
    both = view_of()
    for one in (BUDGET, OTHER):  # the other limit counts attempts at the cheaper model, too
        both.exhausted[one.counter] = Exhausted(one, NOW + 1, NOW + 60, 1_800_000_000)
    refused = decide(Facts(call(), key()), both, ScriptedRandom(0.0), NOW)
    assert isinstance(refused, Failure)
    assert refused.kind.code == "rate_limited"
    assert "cheap/m" in refused.message


def test_cheaper_model_counts_in_all_limits_but_those_that_name_it() -> None:
    plan = plan_of(view_of())
    (instead,) = plan.instead
    assert limits_for(key(), plan.choices[0].candidate) == (BUDGET, OTHER)
    assert limits_for(key(), instead.candidate) == (OTHER,)


def test_rights_operation_and_the_provider_of_the_request_apply_to_it() -> None:
    view = view_of()
    assert plan_of(view, by=key(providers=("a", "b"))).instead == ()
    assert len(plan_of(view, by=key(providers=("a", "b", "cheap"))).instead) == 1
    assert plan_of(view, call(provider="a")).instead == ()
    assert plan_of(view, call(operation="embedding")).instead == ()
    assert plan_of(view, by=key(OTHER)).instead == ()
