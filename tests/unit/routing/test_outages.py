"""Outages under traffic, on a virtual clock: the load that the gateway adds to its providers."""

import random
from collections import Counter

import pytest

from fakes.routing import FakeView, Trace, call, drive, endpoint, failure, snapshot
from pointsman.domain import failures
from pointsman.domain.calls import Facts
from pointsman.domain.failures import Failure
from pointsman.domain.plans import Plan, Try
from pointsman.domain.targets import candidate
from pointsman.routing.decide import decide
from pointsman.routing.retry_budget import CAPACITY, RetryBudget

A, B = endpoint("a"), endpoint("b")
WEIGHTED = snapshot([A, B], [candidate(A, "m", 50), candidate(B, "m", 50)], strategy="weighted", max_attempts=3)
START = 5000.0


def traffic(view: FakeView, requests: int, dead: frozenset[str], rate: float = 100.0) -> list[Trace]:
    """One request after another, `rate` a second, while the named providers fail."""
    rng = random.Random(1)
    facts = Facts(call())

    def answer(step: Try) -> Failure | None:
        return failure(failures.UPSTREAM_ERROR) if step.choice.candidate.endpoint.name in dead else None

    traces = []
    for number in range(requests):
        now = START + number / rate
        plan = decide(facts, view, rng, now)
        assert isinstance(plan, Plan)
        traces.append(drive(plan, view, answer, now, duration_s=0.001))
    return traces


def test_outage_of_one_provider_fails_no_request_and_adds_few_calls() -> None:
    traces = traffic(FakeView(WEIGHTED), 1000, frozenset("a"))
    assert all(trace.has_succeeded for trace in traces)
    calls = Counter(name for trace in traces for name, _ in trace.attempted)
    assert sum(calls.values()) <= 1.02 * len(traces)
    assert 3 <= calls["a/m"] <= 10  # the failures that opened the breaker, and trials after 1, 2, 4 s


def test_recovered_provider_gets_its_share_of_traffic() -> None:
    view = FakeView(WEIGHTED)
    traffic(view, 10, frozenset("a"))
    assert view.conditions["a/m"].is_blocked(START + 0.1)
    traces = traffic(view, 1000, frozenset())
    assert view.conditions == {}
    shares = Counter(trace.attempted[-1][0] for trace in traces[300:])
    assert 0.4 < shares["a/m"] / 700 < 0.6


@pytest.mark.parametrize("requests", [100, 2000])
def test_attempts_are_bounded_in_an_outage_of_all_providers(requests: int) -> None:
    view = FakeView(WEIGHTED)
    view.budget = RetryBudget(updated_at=START)
    traces = traffic(view, requests, frozenset("ab"))
    calls = sum(len(trace.attempted) for trace in traces)
    assert calls <= 3 * requests
    seconds = requests / 100
    firsts = 2 * requests  # one attempt, and a free failover to the other provider
    assert calls <= firsts + 0.2 * firsts + seconds + CAPACITY


def test_only_provider_gets_at_most_a_fifth_more_calls_in_its_outage() -> None:
    view = FakeView(snapshot([A], [candidate(A, "m")], max_attempts=5))
    view.budget = RetryBudget(updated_at=START)
    traces = traffic(view, 2000, frozenset("a"))
    calls = sum(len(trace.attempted) for trace in traces)
    assert 2000 < calls <= 2000 * 1.2 + 20 + CAPACITY


def test_limited_key_gets_no_traffic_until_its_block_ends() -> None:
    view = FakeView(WEIGHTED)
    limited = iter([failure(failures.UPSTREAM_RATE_LIMITED, 5)])

    def answer(step: Try) -> Failure | None:
        return next(limited, None) if step.choice.candidate.endpoint.name == "a" else None

    rng, at = random.Random(1), []
    for number in range(1000):
        now = START + number / 100
        plan = decide(Facts(call()), view, rng, now)
        assert isinstance(plan, Plan)
        trace = drive(plan, view, answer, now, duration_s=0.001)
        at += [item.started_at for item in trace.history if item.provider == "a"]
    assert at[1] - at[0] >= 5
    assert len(at) > 200
