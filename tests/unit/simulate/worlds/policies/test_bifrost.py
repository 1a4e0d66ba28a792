"""Bifrost's rules, as documented."""

from collections import Counter
from random import Random

import pytest

from pointsman.domain import failures
from pointsman.domain.failures import Failure
from pointsman.simulate.worlds.physics import Service
from pointsman.simulate.worlds.policies.bifrost import Bifrost
from pointsman.simulate.worlds.world import Arrival, Provider

REQUEST = Arrival(0.0, 1000, 50)
DOWN = Failure(failures.UPSTREAM_ERROR, "down")


def policy() -> Bifrost:
    return Bifrost([Service(Provider(name=name, first_s=0.3), (), 0).routes[0] for name in "abcd"], Random(1))


def answer(found: Bifrost, route: int, content_s: float, now: float, count: int = 20) -> None:
    for _ in range(count):
        found.started(route, now)
        found.succeeded(route, REQUEST, content_s + 1, content_s, now=now)


def fail(found: Bifrost, route: int, now: float, failure: Failure = DOWN, count: int = 1) -> None:
    for _ in range(count):
        found.started(route, now)
        found.failed(route, failure, 0.1, now)


def state_at(found: Bifrost, now: float) -> str:
    found.recompute(now)
    return found.states[0]


def test_weights_change_every_five_seconds_only() -> None:
    found = policy()
    found.rank(REQUEST, 0.0)
    fail(found, 0, 1.0, count=20)
    found.rank(REQUEST, 4.9)
    assert found.weights[0] == 1000.0
    found.rank(REQUEST, 5.0)
    assert found.weights[0] == 0.0
    assert found.states[0] == "failed"


def test_four_times_slower_route_keeps_four_fifths_of_its_weight() -> None:
    found = policy()
    for route, content_s in enumerate((1.6, 0.4, 0.4, 0.4)):
        answer(found, route, content_s, 1.0)
    found.recompute(2.0)
    assert found.weights[0] == pytest.approx(1 + 0.8 * 999)
    assert found.weights[1] == 1000.0


def test_quarter_of_the_requests_explores() -> None:
    found = policy()
    for route, content_s in enumerate((1.6, 0.4, 1.6, 1.6)):
        answer(found, route, content_s, 1.0)
    found.recompute(2.0)
    first = Counter(found.pick(found.all, 2.0) for _ in range(8000))
    assert first[1] / 8000 == pytest.approx(0.75 + 0.25 * 1000 / 3400, abs=0.03)


def test_states_follow_shares_of_errors() -> None:
    found = policy()
    answer(found, 0, 0.4, 1.0, count=97)
    fail(found, 0, 1.0, count=3)
    states = [state_at(found, 2.0)]
    fail(found, 0, 3.0, count=6)
    states += [state_at(found, at) for at in (4.0, 13.9, 14.0)]
    answer(found, 0, 0.4, 20.0, count=200)
    states.append(state_at(found, 25.0))
    assert states == ["degraded", "failed", "failed", "recovering", "healthy"]


def test_one_rate_limit_fails_a_route() -> None:
    found = policy()
    answer(found, 0, 0.4, 1.0, count=500)
    fail(found, 0, 1.0, Failure(failures.UPSTREAM_RATE_LIMITED, "too many"))
    found.recompute(2.0)
    assert found.states[0] == "failed"


def test_errors_are_forgotten_in_half_a_minute() -> None:
    found = policy()
    answer(found, 0, 0.4, 0.0, count=50)
    fail(found, 0, 0.0, count=50)
    found.recompute(5.0)
    found.states[0] = "healthy"
    before = found._errors(0, 5.0)
    assert found._errors(0, 35.0) == pytest.approx(0.1 * before, rel=0.1)
