"""The parts that policies share."""

from random import Random

from fakes.worlds import PROVIDERS
from pointsman.domain import failures
from pointsman.domain.failures import Failure
from pointsman.simulate.worlds.physics import Route, Service
from pointsman.simulate.worlds.policies.base import Policy, is_limit, picked


def routes() -> list[Route]:
    return [route for place, one in enumerate(PROVIDERS) for route in Service(one, (), place).routes]


def test_picked_calls_the_rule_for_each_place() -> None:
    assert picked([3, 1, 2], lambda found, _: max(found), 0.0) == [3, 2, 1]


def test_attempts_in_progress_are_counted() -> None:
    policy, failure = Policy(routes(), Random(1)), Failure(failures.UPSTREAM_ERROR, "down")
    policy.started(1, 0.0)
    policy.started(1, 0.0)
    policy.failed(1, failure, 0.1, 0.1)
    assert policy.running == [0, 1, 0, 0]
    assert not is_limit(failure)
    assert is_limit(Failure(failures.UPSTREAM_RATE_LIMITED, "too many"))
