"""Counters, gauges and histograms of one process, cheap enough for the hot path.

Callers look up a series once and then count by adding to an attribute. A process sends its metrics as a
`MetricsPage`. Control renders the text for Prometheus, so that no worker does.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence

import msgspec
from msgspec import Struct

MAX_SERIES = 10_000  # per family; further series are counted under "other"
OTHER = "other"

Labels = tuple[str, ...]


class Counter(Struct, array_like=True, gc=False):
    """A sum that only grows."""

    value: int = 0


class Histogram(Struct, array_like=True, gc=False):
    """Observations counted in buckets by upper bounds, in the unit of the values. `counts` has one more entry than
    `bounds`, for larger values."""

    bounds: tuple[float, ...]
    counts: list[int]
    total: float = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


class CounterFamily(Struct, array_like=True):
    """Counters that share a name and differ in their labels. `per_unit` converts to the unit in the name: a dollar is
    1,000,000,000 nano-dollars."""

    name: str
    description: str
    labels: Labels
    per_unit: int = 1
    by_labels: dict[Labels, Counter] = {}

    def series(self, *values: str) -> Counter:
        """Return the counter with these label values, and create it if it is new."""
        found = self.by_labels.get(values)
        if found is None:
            if len(self.by_labels) >= MAX_SERIES:
                values = (OTHER,) * len(values)
            found = self.by_labels.setdefault(values, Counter())
        return found


class HistogramFamily(Struct, array_like=True):
    """Histograms that share a name and buckets and differ in their labels."""

    name: str
    description: str
    labels: Labels
    bounds: tuple[float, ...]
    by_labels: dict[Labels, Histogram] = {}

    def series(self, *values: str) -> Histogram:
        """Return the histogram with these label values, and create it if it is new."""
        found = self.by_labels.get(values)
        if found is None:
            if len(self.by_labels) >= MAX_SERIES:
                values = (OTHER,) * len(values)
            found = self.by_labels.setdefault(values, Histogram(self.bounds, [0] * (len(self.bounds) + 1)))
        return found


class GaugeFamily(Struct, array_like=True):
    """Values read at the time of a scrape. Values of workers are added, or the largest is kept if
    `is_maximum`."""

    name: str
    description: str
    labels: Labels
    by_labels: dict[Labels, float]
    is_maximum: bool = False


class HealthRow(Struct, array_like=True, frozen=True):
    """The state of an operation of a provider's model, or of a key for a model or for all (`*`), since a time in Unix
    seconds, for a reason. Only rows of models have an operation, and only those of keys a key."""

    provider: str
    model: str
    operation: str
    key: str
    state: str
    since: float
    reason: str


class MetricsPage(Struct, array_like=True):
    """The metrics of one process, and the health of providers as it sees it."""

    counters: list[CounterFamily] = []
    histograms: list[HistogramFamily] = []
    gauges: list[GaugeFamily] = []
    health: list[HealthRow] = []


def counter(name: str, description: str, value: int) -> CounterFamily:
    """Return a counter without labels, whose value is counted elsewhere."""
    return CounterFamily(name, description, (), 1, {(): Counter(value)})


def counter_family(name: str, description: str, labels: Labels, values: Mapping[Labels, int]) -> CounterFamily:
    """Return counters whose values are counted elsewhere."""
    return CounterFamily(name, description, labels, 1, {one: Counter(value) for one, value in values.items()})


def gauge(
    name: str,
    description: str,
    samples: float | Iterable[tuple[Labels, float]],
    labels: Sequence[str] = (),
    *,
    is_maximum: bool = False,
) -> GaugeFamily:
    """Return a gauge with one value, or with one per combination of labels. Values of equal combinations are added, or
    the largest is kept if `is_maximum`."""
    values: dict[Labels, float] = {}
    for names, value in [((), samples)] if isinstance(samples, int | float) else samples:
        before = values.get(names, 0)
        values[names] = max(before, value) if is_maximum else before + value
    return GaugeFamily(name, description, tuple(labels), values, is_maximum)


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(MetricsPage)


def encode_page(page: MetricsPage) -> bytes:
    """Encode the page as bytes. This takes some milliseconds for 10,000 series."""
    return _ENCODER.encode(page)


def decode_page(data: bytes) -> MetricsPage:
    """Decode the page. Raise `msgspec.DecodeError`."""
    return _DECODER.decode(data)
