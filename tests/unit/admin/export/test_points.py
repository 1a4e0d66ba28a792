"""The gateway's metrics as an OTLP message."""

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from fakes.collector import attributes
from fakes.export import SETTINGS
from pointsman.admin.export.points import metrics_request, otlp_name
from pointsman.telemetry.metrics import CounterFamily, HistogramFamily, MetricsPage, gauge


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("pointsman_requests_total", ("pointsman.requests", "1")),
        ("pointsman_gateway_seconds", ("pointsman.gateway", "s")),
        ("pointsman_process_cpu_seconds_total", ("pointsman.process_cpu", "s")),
        ("pointsman_body_bytes", ("pointsman.body", "By")),
        ("pointsman_cost_dollars_total", ("pointsman.cost_dollars", "1")),
    ],
)
def test_names_lose_the_suffixes_of_prometheus(name: str, expected: tuple[str, str]) -> None:
    assert otlp_name(name) == expected


def test_series_become_data_points() -> None:
    counters = CounterFamily("pointsman_cost_dollars_total", "Cost.", ("provider",), 10**9)
    counters.series("a").value = 1_500_000_000
    histograms = HistogramFamily("pointsman_gateway_seconds", "Seconds.", (), (0.1, 1.0))
    histograms.series().observe(0.5)
    page = MetricsPage([counters], [histograms], [gauge("pointsman_workers", "Workers.", 2)])
    message, count = metrics_request(page, SETTINGS, 5, 9)
    sums, histogram, read = ExportMetricsServiceRequest.FromString(message).resource_metrics[0].scope_metrics[0].metrics
    assert count == 3
    assert (sums.sum.is_monotonic, sums.sum.aggregation_temporality) == (True, 2)
    point = sums.sum.data_points[0]
    assert (point.as_double, attributes(point)) == (1.5, {"provider": "a"})
    assert (point.start_time_unix_nano, point.time_unix_nano) == (5, 9)
    (point,) = histogram.histogram.data_points
    assert (list(point.bucket_counts), list(point.explicit_bounds)) == ([0, 1, 0], [0.1, 1.0])
    assert (point.count, point.sum, histogram.unit) == (1, 0.5, "s")
    assert read.gauge.data_points[0].as_double == 2
