"""The view of a gateway that has seen nothing go wrong."""

from fakes.routing import NOW, FakeView, ScriptedDice, call, endpoint, plan_for, snapshot
from pointsman.domain.calls import Facts
from pointsman.domain.targets import candidate
from pointsman.routing.decide import decide
from pointsman.routing.view import CalmView


def test_a_calm_view_decides_as_live_state_without_failures_does() -> None:
    ends = [endpoint("alpha", "k1", "k2"), endpoint("beta")]
    configuration = snapshot(ends, [candidate(one, "m") for one in ends])
    calm = CalmView(configuration)
    expected = plan_for(call(), FakeView(configuration), ScriptedDice(0.3))
    assert decide(Facts(call()), calm, ScriptedDice(0.3), NOW) == expected
    assert calm.may_retry("alpha", NOW)
