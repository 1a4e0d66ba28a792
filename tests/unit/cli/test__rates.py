"""The rates between two readings of the metrics."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest

from pointsman.cli._rates import Samples, quantile, rates, read

BOUNDS = (0.1, 0.2, 0.4)


class Metrics:
    """A page with the names of the gateway's metrics, written by Prometheus' own client."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        target = ["provider", "model"]
        self.requests = Counter("pointsman_requests", "r", ["status"], registry=self.registry)
        self.attempts = Counter("pointsman_attempts", "a", [*target, "outcome"], registry=self.registry)
        self.tokens = Counter("pointsman_tokens", "t", [*target, "direction"], registry=self.registry)
        self.costs = Counter("pointsman_cost_dollars", "c", [*target, "source"], registry=self.registry)
        self.running = Gauge("pointsman_attempts_in_progress", "i", target, registry=self.registry)
        first, tokens = "pointsman_first_byte_seconds", "pointsman_time_to_first_token_seconds"
        self.first = Histogram(first, "f", target, buckets=BOUNDS, registry=self.registry)
        self.first_tokens = Histogram(tokens, "t", target, buckets=BOUNDS, registry=self.registry)

    def page(self) -> Samples:
        return read(generate_latest(self.registry).decode())


def test_rates_are_those_between_two_readings() -> None:
    metrics = Metrics()
    metrics.attempts.labels("a", "m", "ok").inc(100)
    metrics.requests.labels("200").inc(100)
    before = metrics.page()
    metrics.requests.labels("200").inc(6)
    metrics.requests.labels("502").inc(2)
    metrics.attempts.labels("a", "m", "ok").inc(6)
    metrics.attempts.labels("a", "m", "upstream_error").inc(2)
    metrics.attempts.labels("b", "m", "ok").inc(12)
    metrics.tokens.labels("a", "m", "out").inc(40)
    metrics.tokens.labels("a", "m", "in").inc(60)
    metrics.costs.labels("a", "m", "provider").inc(0.5)
    metrics.running.labels("c", "m").set(3)
    for seconds in (0.15, 0.15, 0.3):
        metrics.first.labels("a", "m").observe(seconds)
    metrics.first_tokens.labels("a", "m").observe(0.3)
    found = rates(before, metrics.page(), 2.0)
    assert (found.requests_per_s, found.failed, found.tokens_per_s, found.usd_per_h) == (4.0, 0.25, 50.0, 900.0)
    assert [one.provider for one in found.targets] == ["b", "a", "c"], "the busiest first"
    _, one, running = found.targets
    assert (one.per_s, one.failed, one.tokens_out_per_s, one.usd_per_h) == (4.0, 0.25, 20.0, 900.0)
    assert one.first_byte_p50_s == pytest.approx(0.175)
    assert one.ttft_p50_s == pytest.approx(0.3)
    assert one.ttft_p95_s == pytest.approx(0.39)
    assert running.in_progress == 3
    assert running.first_byte_p50_s is None


def test_counter_that_fell_is_no_negative_rate() -> None:
    metrics = Metrics()
    metrics.requests.labels("200").inc(9)
    assert rates(metrics.page(), Metrics().page(), 1.0).requests_per_s == 0


@given(st.lists(st.floats(0.0, 0.4), min_size=1), st.floats(0.01, 1.0))
def test_quantile_is_in_the_bucket_of_its_observation(values: list[float], share: float) -> None:
    bounds = (*BOUNDS, float("inf"))
    buckets = {bound: float(sum(value <= bound for value in values)) for bound in bounds}
    found = quantile(share, buckets)
    ordered = sorted(values)
    exact = ordered[max(0, -int(-share * len(ordered) // 1) - 1)]
    assert found is not None
    bound = next(bound for bound in bounds if exact <= bound)
    below = max([0.0, *(one for one in BOUNDS if one < bound)])
    assert below - 1e-9 <= found <= bound + 1e-9
