"""A continuation keeps to the deadlines of its stream and of its client (all else: integration/test_continuing.py)."""

from msgspec.structs import replace

from fakes.routing import NOW, FakeView, call, endpoint, plan_for, snapshot
from pointsman.domain.targets import candidate
from pointsman.engine.continuing import deadline_of

TARGETS = (candidate(endpoint("alpha"), "m"),)


def test_deadline_of_a_continuation() -> None:
    plan = plan_for(call(), FakeView(snapshot([endpoint("alpha")], TARGETS)))
    timeouts = plan.routing.timeouts
    late = NOW + plan.deadline + 5.0
    assert deadline_of(plan, call(), late - 1.0, late) == late + timeouts.commit_s
    first_at = late + 1.0 - timeouts.stream_s
    assert deadline_of(plan, call(), first_at, late) == late + 1.0
    hurried = replace(plan, deadline=NOW + 3.0)
    assert deadline_of(hurried, call(timeout_s=3.0), NOW, NOW + 1.0) == NOW + 3.0
