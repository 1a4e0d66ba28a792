"""Changes to a plan."""

from fakes.routing import FakeView, call, endpoint, plan_for, snapshot_of
from pointsman.domain.plans import without
from pointsman.domain.verdicts import Reason, Verdict


def test_plan_without_a_candidate_has_its_verdict_instead() -> None:
    plan = plan_for(call(), FakeView(snapshot_of(endpoint("a"), endpoint("b"))))
    item = plan.choices[0].candidate
    verdict = Verdict(item.id, "billing", Reason("over_budget", "no room"))
    left = without(plan, item, verdict)
    assert [choice.candidate.id for choice in left.choices] == ["b/m"]
    assert left.verdicts == (*plan.verdicts, verdict)
    assert len(plan.choices) == 2, "the plan itself is unchanged"
