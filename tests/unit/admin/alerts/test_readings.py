"""Rates between two readings of the metrics of workers."""

from collections.abc import Mapping
from typing import Any

from pointsman.admin.alerts.readings import (
    KEPT,
    Buckets,
    MetricsReading,
    Readings,
    ReadingSpan,
    TargetReading,
    reading,
    used_part,
)
from pointsman.telemetry.metrics import Counter, CounterFamily, GaugeFamily, Histogram, HistogramFamily, MetricsPage


def page(ok: int, failed: int, refused: int = 0) -> MetricsPage:
    """Return the metrics after some attempts: each takes half a second, has 10 tokens and costs a dollar."""
    target = ("p", "m")
    count = ok + failed
    outcomes = {(*target, "ok"): ok, (*target, "upstream_error"): failed, (*target, "client_disconnected"): refused}
    return MetricsPage(
        [
            CounterFamily("pointsman_attempts_total", "", ("provider", "model", "outcome"), 1, _counters(outcomes)),
            CounterFamily(
                "pointsman_tokens_total",
                "",
                ("provider", "model", "direction"),
                1,
                _counters({(*target, "out"): 10 * count}),
            ),
            CounterFamily(
                "pointsman_cost_dollars_total",
                "",
                ("provider", "model", "source"),
                10**9,
                _counters({(*target, "x"): 10**9 * count}),
            ),
            CounterFamily(
                "pointsman_requests_total",
                "",
                ("operation", "status", "virtual_key"),
                1,
                _counters({("chat", "200", ""): ok, ("chat", "502", ""): failed, ("chat", "404", ""): 3}),
            ),
            CounterFamily("pointsman_other_total", "", (), 1, _counters({(): 1})),
        ],
        [
            HistogramFamily(
                "pointsman_first_byte_seconds",
                "",
                ("provider", "model"),
                (0.5, 1.0),
                {target: Histogram((0.5, 1.0), [count, 0, 0])},
            ),
            HistogramFamily(
                "pointsman_request_duration_seconds",
                "",
                ("operation", "stream"),
                (1.0,),
                {("chat", "true"): Histogram((1.0,), [1, 0]), ("chat", "false"): Histogram((1.0,), [2, 1])},
            ),
        ],
        [GaugeFamily("pointsman_attempts_in_progress", "", ("provider", "model"), {target: 2.0})],
    )


def _counters(values: Mapping[Any, int]) -> dict[tuple[str, ...], Counter]:
    return {labels: Counter(value) for labels, value in values.items()}


def test_facts_are_those_of_the_time_between_readings() -> None:
    readings = Readings(60.0)
    assert readings.span() is None
    readings.add(reading(page(100, 0), 0.0))
    assert readings.span() is None
    readings.add(reading(page(130, 10, refused=5), 10.0))
    span = readings.span()
    assert span is not None
    (found,) = span.targets()
    assert (found.provider, found.model, found.attempts_in_progress) == ("p", "m", 2)
    assert (found.attempts, found.attempts_per_s, found.error_rate) == (45, 4.5, 10 / 45)
    assert (found.tokens_per_s, found.usd_per_h) == (40.0, 14_400.0)
    assert found.first_byte_p50_s == 0.25
    assert (span.now.requests - span.before.requests, span.now.failed - span.before.failed) == (40, 10)


def test_target_without_attempts_has_no_times() -> None:
    readings = Readings(60.0)
    readings.add(reading(page(1, 1), 0.0))
    readings.add(reading(page(1, 1), 2.0))
    span = readings.span()
    assert span is not None
    (found,) = span.targets()
    assert (found.attempts, found.error_rate, found.first_byte_p95_s) == (0, 0.0, None)


def test_readings_are_few_and_cover_their_span() -> None:
    readings = Readings(64.0)
    for second in range(1000):
        readings.add(reading(page(second, 0), float(second)))
        span = readings.span()
        if second > 70:
            assert span is not None
            assert 64 <= span.seconds <= 67
    assert len(readings._kept) <= KEPT + 2


def test_counters_that_fall_count_as_nothing() -> None:
    empty = Buckets()
    zero = MetricsReading(0.0, 0, 0, 0, 0, empty, empty, {("p", "m"): TargetReading(attempts=9, failed=9)})
    readings = Readings(60.0)
    readings.add(zero)
    readings.add(reading(page(1, 0), 1.0))
    span = readings.span()
    assert span is not None
    assert (span.targets()[0].attempts, span.targets()[0].error_rate) == (0, 0.0)


def test_only_the_used_families_are_merged_and_series_are_added_up() -> None:
    used = used_part(page(1, 1))
    assert "pointsman_other_total" not in {one.name for one in used.counters}
    assert reading(used, 0.0).duration == Buckets((1.0,), [3, 1])


def test_first_request_comes_after_a_reading_without_series() -> None:
    before = page(0, 0)
    for family in before.histograms:
        family.by_labels.clear()
    span = ReadingSpan(2.0, reading(before, 0.0), reading(page(1, 0), 2.0))
    assert span.now.duration.since(span.before.duration).quantile(0.5) == 2 / 3
    assert span.targets()[0].first_byte_p50_s == 0.25
