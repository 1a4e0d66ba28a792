"""A set of candidates keeps its results that hold as long as the configuration, and judges the rest anew."""

from collections.abc import Sequence

import pytest

from fakes.routing import NOW, FakeView, ScriptedRandom, call, endpoint, plan_for, snapshot
from pointsman.domain.calls import Facts
from pointsman.domain.failures import Failure
from pointsman.domain.quotas import Allowance, Quota
from pointsman.domain.rules import Directive
from pointsman.domain.snapshots import Snapshot
from pointsman.domain.targets import candidate
from pointsman.routing.candidate_set import MAX_SUBSETS, CandidateSet
from pointsman.routing.evaluation import Evaluation
from pointsman.routing.ordering import Ordered
from pointsman.routing.policies import LIVE, ON_REQUEST, Check
from pointsman.routing.router import router_of
from pointsman.routing.view import View

A, B = endpoint("a", "k1", "k2"), endpoint("b")
CHAT = snapshot([A, B], [candidate(A, "m"), candidate(B, "m")], strategy="priority")


def set_of(configuration: Snapshot, directive: Directive | None = None) -> CandidateSet:
    found = router_of(configuration).candidates(Facts(call()), configuration, directive)
    assert not isinstance(found, Failure)
    return found


def test_sets_are_shared_by_requests_with_the_same_rules() -> None:
    directive = Directive(rules=("r",), timeouts={"commit_s": 7.0})
    assert set_of(CHAT) is set_of(CHAT)
    assert set_of(CHAT, directive) is set_of(CHAT, directive)
    assert set_of(CHAT, directive) is not set_of(CHAT)
    assert set_of(CHAT, directive).routing.timeouts.commit_s == 7.0
    assert set_of(CHAT).routing.timeouts.commit_s == 600.0


def test_failed_candidates_come_last() -> None:
    view, found = FakeView(CHAT), set_of(CHAT)
    evaluation = found.refresh(Facts(call()), view, NOW)
    assert [item.id for item in evaluation.targets] == ["a/m", "b/m"]
    view.open_breaker("a/m", NOW + 3)
    evaluation = found.refresh(Facts(call()), view, NOW)
    assert [item.id for item in evaluation.targets] == ["b/m"]
    assert [item.id for item in evaluation.others] == ["a/m"]
    ordered, rng = Ordered(evaluation.targets), ScriptedRandom(0.0)
    choices, _ = found.choices(ordered, evaluation, call(), view=view, rng=rng, now=NOW)
    assert [choice.candidate.id for choice in choices] == ["b/m", "a/m"]


def test_orders_of_the_same_targets_are_kept_within_a_bound() -> None:
    endpoints = [endpoint(f"p{number}") for number in range(7)]
    configuration = snapshot(endpoints, [candidate(one, "m") for one in endpoints], strategy="priority")
    view, found = FakeView(configuration), set_of(configuration)
    first = found.refresh(Facts(call()), view, NOW).order
    assert found.refresh(Facts(call()), view, NOW).order is first
    for failed in range(MAX_SUBSETS + 1):
        view.conditions.clear()
        for number in range(7):
            if failed >> number & 1:
                view.open_breaker(f"p{number}/m", NOW + 3)
        found.refresh(Facts(call()), view, NOW)
    assert found.refresh(Facts(call()), view, NOW).order is not first


def test_request_is_judged_once(monkeypatch: pytest.MonkeyPatch) -> None:
    view, found, judged = FakeView(CHAT), set_of(CHAT), list[object]()
    evaluate = found.evaluate

    def count(facts: Facts, view: View, now: float, checks: Sequence[tuple[str, Check]]) -> Evaluation:
        judged.append(checks)
        return evaluate(facts, view, now, checks)

    monkeypatch.setattr(found, "evaluate", count)
    plan_for(call(), view)
    assert judged == [LIVE]
    item = view.snapshot.models["chat"].targets[1]
    view.quotas.note(item, "k1", Quota(requests=Allowance(60, 0)), NOW, at=NOW)
    plan_for(call(stateful=True), view)
    assert judged == [LIVE, ON_REQUEST]


def test_objects_of_an_account_always_use_the_same_key() -> None:
    found = set_of(CHAT)
    view, stateful = FakeView(CHAT), call(stateful=True)
    evaluation = found.refresh(Facts(call()), view, NOW)
    for number in (0.0, 0.9):
        ordered, rng = Ordered(evaluation.targets), ScriptedRandom(number)
        choices, _ = found.choices(ordered, evaluation, stateful, view=view, rng=rng, now=NOW)
        assert [key.name for key in choices[0].keys] == ["k1"]
