"""Envoy's rules: two random hosts, and outlier detection."""

from collections import Counter
from random import Random

import pytest

from pointsman.domain import failures
from pointsman.domain.failures import Failure
from pointsman.simulate.worlds.physics import Service
from pointsman.simulate.worlds.policies.envoy import LeastRequest
from pointsman.simulate.worlds.world import Arrival, Provider

ROUTES = [Service(Provider(name=name, first_s=0.3), (), 0).routes[0] for name in "abcd"]
REQUEST = Arrival(0.0, 100, 50)
DOWN = Failure(failures.UPSTREAM_OVERLOADED, "down")


def fail(policy: LeastRequest, route: int, times: int, now: float, failure: Failure = DOWN) -> None:
    for _ in range(times):
        policy.started(route, now)
        policy.failed(route, failure, 0.1, now)


def firsts(policy: LeastRequest, now: float) -> set[int]:
    return {policy.rank(REQUEST, now)[0] for _ in range(100)}


def test_fewer_requests_win_among_two_random_hosts() -> None:
    policy = LeastRequest(ROUTES, Random(1))
    for route, count in enumerate((0, 1, 2, 3)):
        for _ in range(count):
            policy.started(route, 0.0)
    first = Counter(policy.rank(REQUEST, 0.0)[0] for _ in range(6000))
    for route, share in enumerate((3 / 6, 2 / 6, 1 / 6, 0.0)):  # of the six pairs
        assert first[route] / 6000 == pytest.approx(share, abs=0.03)


def test_five_errors_in_a_row_eject_a_host_longer_each_time() -> None:
    policy = LeastRequest(ROUTES, Random(1))
    fail(policy, 0, 4, 0.0)
    assert firsts(policy, 0.0) == {0, 1, 2, 3}
    fail(policy, 0, 1, 0.0)
    assert firsts(policy, 29.9) == {1, 2, 3}
    assert 0 in firsts(policy, 30.0)
    fail(policy, 0, 5, 30.0)
    assert 0 not in firsts(policy, 89.9)
    assert 0 in firsts(policy, 90.0)


def test_success_ends_a_row_and_rate_limits_do_not_count() -> None:
    policy = LeastRequest(ROUTES, Random(1))
    fail(policy, 0, 4, 0.0)
    policy.started(0, 0.0)
    policy.succeeded(0, REQUEST, 1.0, 0.3, now=0.0)
    fail(policy, 0, 4, 0.0)
    fail(policy, 0, 9, 0.0, Failure(failures.UPSTREAM_RATE_LIMITED, "too many"))
    assert 0 in firsts(policy, 0.0)


def test_panic_uses_every_host() -> None:
    policy = LeastRequest(ROUTES, Random(1))
    for route in range(4):
        fail(policy, route, 5, 0.0)
    assert firsts(policy, 1.0) == {0, 1, 2, 3}
