"""Examples of the buckets of histograms, with their traces."""

from prometheus_client.openmetrics.parser import text_string_to_metric_families

from pointsman.admin.export import exemplars as module
from pointsman.admin.export.exemplars import Exemplars
from pointsman.admin.metrics import render
from pointsman.domain.records import RequestRecord
from pointsman.telemetry.metrics import HistogramFamily, MetricsPage

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def request(duration_us: int, traceparent: str = "") -> RequestRecord:
    return RequestRecord(
        time=1000.0,
        request_id="01933b3c-0000-7abc-8000-0123456789ab",
        method="POST",
        path="/",
        status=200,
        duration_us=duration_us,
        operation="chat",
        traceparent=traceparent,
    )


def test_page_has_the_latest_trace_of_each_bucket() -> None:
    family = HistogramFamily("pointsman_request_duration_seconds", "Seconds.", ("operation", "stream"), (0.1, 1.0))
    exemplars = Exemplars()
    for duration_us, parent in ((50_000, ""), (500_000, ""), (600_000, f"00-{TRACE}-00f067aa0ba902b7-01")):
        family.series("chat", "false").observe(duration_us / 1e6)
        exemplars.note(request(duration_us, parent))
    page, accept = MetricsPage([], [family]), "application/openmetrics-text; version=1.0.0"
    families = text_string_to_metric_families(render(page, accept, exemplars).decode())  # type: ignore[no-untyped-call]
    found = {
        sample.labels["le"]: (sample.exemplar.labels["trace_id"], sample.exemplar.value)
        for one in families
        for sample in one.samples
        if sample.exemplar is not None
    }
    assert found == {"0.1": ("01933b3c00007abc80000123456789ab", 0.05), "1.0": (TRACE, 0.6)}
    assert b"trace_id" not in render(page, "", exemplars)


def test_series_are_bounded() -> None:
    exemplars = Exemplars()
    for number in range(module.MAX_SERIES + 10):
        one = request(1)
        one.operation = str(number)
        exemplars.note(one)
    assert len(exemplars._series) == module.MAX_SERIES
