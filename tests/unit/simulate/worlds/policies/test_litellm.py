"""LiteLLM's rules: cooldown, least busy, and the rolling latency."""

from random import Random

from pointsman.domain import failures
from pointsman.domain.failures import Failure
from pointsman.simulate.worlds.physics import Service
from pointsman.simulate.worlds.policies.litellm import LeastBusy, RollingLatency
from pointsman.simulate.worlds.world import Arrival, Provider

ROUTES = [Service(Provider(name=name, first_s=0.3), (), 0).routes[0] for name in "abc"]
REQUEST = Arrival(0.0, 100, 50)
DOWN = Failure(failures.UPSTREAM_OVERLOADED, "down")
LATE = Failure(failures.COMMIT_TIMEOUT, "late")


def limited(after_s: float | None) -> Failure:
    return Failure(failures.UPSTREAM_RATE_LIMITED, "too many", retry_after_s=after_s)


def firsts(policy: LeastBusy | RollingLatency, now: float) -> set[int]:
    return {policy.rank(REQUEST, now)[0] for _ in range(60)}


def fail(policy: LeastBusy | RollingLatency, route: int, failure: Failure, now: float) -> None:
    policy.started(route, now)
    policy.failed(route, failure, 0.1, now)


def answer(policy: LeastBusy | RollingLatency, route: int, content_s: float, now: float) -> None:
    policy.started(route, now)
    policy.succeeded(route, REQUEST, content_s + 1, content_s, now=now)


def test_cooldown_needs_half_of_two_requests_of_the_minute() -> None:
    policy = LeastBusy(ROUTES, Random(1))
    fail(policy, 0, DOWN, 1.0)
    assert firsts(policy, 1.0) == {0, 1, 2}
    fail(policy, 0, DOWN, 2.0)
    assert firsts(policy, 2.0) == firsts(policy, 6.9) == {1, 2}
    assert firsts(policy, 7.1) == {0, 1, 2}
    fail(policy, 1, DOWN, 59.0)
    fail(policy, 1, DOWN, 61.0)  # the counts begin anew with the minute
    assert 1 in firsts(policy, 61.0)


def test_rate_limit_cools_down_at_once() -> None:
    policy = LeastBusy(ROUTES, Random(1))
    fail(policy, 0, limited(None), 1.0)
    fail(policy, 1, limited(20.0), 1.0)
    assert firsts(policy, 5.9) == {2}
    assert firsts(policy, 20.9) == {0, 2}


def test_all_are_tried_while_all_cool_down() -> None:
    policy = LeastBusy(ROUTES, Random(1))
    for route in range(3):
        fail(policy, route, limited(None), 1.0)
    assert firsts(policy, 2.0) == {0, 1, 2}


def test_least_busy_prefers_the_fewest_in_progress() -> None:
    policy = LeastBusy(ROUTES, Random(1))
    for route in (0, 0, 1, 2):
        policy.started(route, 0.0)
    assert firsts(policy, 0.0) == {1, 2}


def test_routes_within_a_tenth_of_the_lowest_mean_share_the_requests() -> None:
    policy = RollingLatency(ROUTES, Random(1))
    assert firsts(policy, 0.0) == {0, 1, 2}
    for route, content_s in enumerate((1.0, 1.05, 1.2)):
        answer(policy, route, content_s, 0.0)
    assert firsts(policy, 0.0) == {0, 1}


def test_untried_route_comes_first() -> None:
    policy = RollingLatency(ROUTES, Random(1))
    answer(policy, 0, 0.01, 0.0)
    assert firsts(policy, 0.0) == {1, 2}


def test_mean_is_of_the_last_ten() -> None:
    policy = RollingLatency(ROUTES, Random(1))
    for route, content_s in enumerate((5.0, 2.0, 3.0)):
        answer(policy, route, content_s, 0.0)
    assert firsts(policy, 0.0) == {1}
    for _ in range(10):
        answer(policy, 0, 1.0, 1.0)
    assert firsts(policy, 1.0) == {0}


def test_timeout_counts_as_a_thousand_seconds() -> None:
    policy = RollingLatency(ROUTES, Random(1))
    for route in range(3):
        answer(policy, route, 0.1 * (route + 1), 0.0)
    fail(policy, 0, LATE, 1.0)
    assert firsts(policy, 1.0) == {1}
