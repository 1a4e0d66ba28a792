"""Traces that were sent lately, as examples of the buckets of histograms on an OpenMetrics page."""

from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from pointsman.domain.records import RequestRecord
from pointsman.domain.tracing import read_context, trace_id_of
from pointsman.telemetry.metrics import Labels

EACH = 16  # traces that are kept for a series
MAX_SERIES = 1000


class Example(NamedTuple):
    """One value in seconds, the trace that it belongs to, and its time in Unix seconds."""

    value: float
    trace_id: str
    at: float


class Exemplars:
    """The latest traces of each series. One thread notes them, and others may read meanwhile."""

    def __init__(self) -> None:
        self._series: dict[tuple[str, Labels], deque[Example]] = {}

    def note(self, record: RequestRecord) -> None:
        """Note a request whose trace is sent."""
        context = read_context(record.traceparent) if record.traceparent else None
        trace_id = trace_id_of(record.request_id, context)
        stream = "true" if record.stream else "false"
        values: list[tuple[str, Labels, int]] = [
            ("pointsman_request_duration_seconds", (record.operation or "none", stream), record.duration_us),
            ("pointsman_gateway_seconds", (), record.gateway_us),
        ]
        if record.ttft_us is not None:
            target = (record.provider or "", record.upstream_model or "")
            values.append(("pointsman_time_to_first_token_seconds", target, record.ttft_us))
        for name, labels, value_us in values:
            found = self._series.get((name, labels))
            if found is None and len(self._series) < MAX_SERIES:
                found = self._series[name, labels] = deque(maxlen=EACH)
            if found is not None:
                found.append(Example(value_us / 1e6, trace_id, record.time))

    def by_bucket(self, name: str, labels: Labels, bounds: Sequence[float]) -> dict[int, Example]:
        """Return the latest example of each bucket of a series, by its place."""
        found = self._series.get((name, labels), ())
        return {bisect_left(bounds, one.value): one for one in tuple(found)}
