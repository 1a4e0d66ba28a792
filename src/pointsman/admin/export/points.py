"""The gateway's metrics as an OTLP message.

A name loses the suffix that Prometheus demands, and its unit moves to the field for it. A collector that writes to
Prometheus appends both again, so dashboards fit either way.
"""

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)

from pointsman import __version__
from pointsman.admin.export.gen_ai import UNITS
from pointsman.admin.export.spans import key_values, resource
from pointsman.control.inquiries.export import ExportSettings
from pointsman.telemetry.metrics import CounterFamily, GaugeFamily, HistogramFamily, Labels, MetricsPage

_UNITS = {"_seconds": "s", "_bytes": "By"}
_CUMULATIVE = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE


def metrics_request(page: MetricsPage, settings: ExportSettings, start_ns: int, now_ns: int) -> tuple[bytes, int]:
    """Return the message with all series, and their number. Sums began at `start_ns`, in nanoseconds of Unix time."""
    metrics = [
        *(_sum(one, start_ns, now_ns) for one in page.counters),
        *(_histogram(one, start_ns, now_ns) for one in page.histograms),
        *(_gauge(one, now_ns) for one in page.gauges),
    ]
    scope = ScopeMetrics(scope=InstrumentationScope(name="pointsman", version=__version__), metrics=metrics)
    message = ExportMetricsServiceRequest(
        resource_metrics=[ResourceMetrics(resource=resource(settings), scope_metrics=[scope])]
    )
    count = sum(len(one.by_labels) for one in page.counters)
    count += sum(len(one.by_labels) for one in page.histograms)
    count += sum(len(one.by_labels) for one in page.gauges)
    return message.SerializeToString(), count


def otlp_name(name: str) -> tuple[str, str]:
    """Return the name of a metric without its suffixes, and its unit. Names of the conventions stay as they are."""
    if name.startswith("gen_ai."):
        return name, UNITS.get(name, "s")
    name = name.removesuffix("_total").replace("pointsman_", "pointsman.", 1)
    for suffix, unit in _UNITS.items():
        if name.endswith(suffix):
            return name.removesuffix(suffix), unit
    return name, "1"


def _metric(family: CounterFamily | HistogramFamily | GaugeFamily) -> Metric:
    name, unit = otlp_name(family.name)
    return Metric(name=name, unit=unit, description=family.description)


def _labels(names: Labels, values: Labels) -> list[KeyValue]:
    """Return the attributes of a series. An empty type of error means none."""
    return key_values({name: one for name, one in zip(names, values, strict=True) if one or name != "error.type"})


def _sum(family: CounterFamily, start_ns: int, now_ns: int) -> Metric:
    points = [
        NumberDataPoint(
            attributes=_labels(family.labels, labels),
            start_time_unix_nano=start_ns,
            time_unix_nano=now_ns,
            as_double=one.value / family.per_unit,
        )
        for labels, one in family.by_labels.items()
    ]
    metric = _metric(family)
    metric.sum.CopyFrom(Sum(data_points=points, aggregation_temporality=_CUMULATIVE, is_monotonic=True))
    return metric


def _histogram(family: HistogramFamily, start_ns: int, now_ns: int) -> Metric:
    points = [
        HistogramDataPoint(
            attributes=_labels(family.labels, labels),
            start_time_unix_nano=start_ns,
            time_unix_nano=now_ns,
            count=sum(one.counts),
            sum=one.total,
            bucket_counts=one.counts,
            explicit_bounds=one.bounds,
        )
        for labels, one in family.by_labels.items()
    ]
    metric = _metric(family)
    metric.histogram.CopyFrom(Histogram(data_points=points, aggregation_temporality=_CUMULATIVE))
    return metric


def _gauge(family: GaugeFamily, now_ns: int) -> Metric:
    points = [
        NumberDataPoint(attributes=_labels(family.labels, labels), time_unix_nano=now_ns, as_double=value)
        for labels, value in family.by_labels.items()
    ]
    metric = _metric(family)
    metric.gauge.CopyFrom(Gauge(data_points=points))
    return metric
