"""Counters and histograms for Prometheus, cheap enough for the hot path.

A series is looked up once and then counted by adding to an attribute; the text is made when somebody asks for it.
Format: https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence

MAX_SERIES = 2000  # per family; what comes later is counted under "other"
OTHER = "other"


class Counter:
    """A sum that only grows."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0


class Histogram:
    """Observations counted in buckets by their upper bounds, which are in the unit of the values."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


class CounterFamily:
    """Counters that share a name and differ in their labels."""

    def __init__(self, name: str, description: str, labels: tuple[str, ...]) -> None:
        self.name = name
        self.description = description
        self.labels = labels
        self._series: dict[tuple[str, ...], Counter] = {}

    def series(self, *values: str) -> Counter:
        """The counter with these label values, made when it is new."""
        found = self._series.get(values)
        if found is None:
            if len(self._series) >= MAX_SERIES:
                values = (OTHER,) * len(values)
            found = self._series.setdefault(values, Counter())
        return found

    def lines(self) -> Iterator[str]:
        yield f"# HELP {self.name} {self.description}"
        yield f"# TYPE {self.name} counter"
        for values, counter in self._series.items():
            yield f"{self.name}{label_text(self.labels, values)} {counter.value}"


class HistogramFamily:
    """Histograms that share a name and buckets and differ in their labels."""

    def __init__(self, name: str, description: str, labels: tuple[str, ...], bounds: Sequence[float]) -> None:
        self.name = name
        self.description = description
        self.labels = labels
        self._bounds = tuple(bounds)
        self._series: dict[tuple[str, ...], Histogram] = {}

    def series(self, *values: str) -> Histogram:
        """The histogram with these label values, made when it is new."""
        found = self._series.get(values)
        if found is None:
            if len(self._series) >= MAX_SERIES:
                values = (OTHER,) * len(values)
            found = self._series.setdefault(values, Histogram(self._bounds))
        return found

    def lines(self) -> Iterator[str]:
        yield f"# HELP {self.name} {self.description}"
        yield f"# TYPE {self.name} histogram"
        for values, histogram in self._series.items():
            count = 0
            for bound, number in zip((*map(repr, self._bounds), "+Inf"), histogram.counts, strict=True):
                count += number
                yield f"{self.name}_bucket{label_text((*self.labels, 'le'), (*values, bound))} {count}"
            labels = label_text(self.labels, values)
            yield f"{self.name}_sum{labels} {histogram.total!r}"
            yield f"{self.name}_count{labels} {count}"


def gauge_lines(name: str, description: str, samples: Iterable[tuple[dict[str, str], float]]) -> Iterator[str]:
    """A gauge read at the time of asking."""
    yield f"# HELP {name} {description}"
    yield f"# TYPE {name} gauge"
    for labels, value in samples:
        yield f"{name}{label_text(tuple(labels), tuple(labels.values()))} {value!r}"


def label_text(names: Sequence[str], values: Sequence[str]) -> str:
    if not names:
        return ""
    escaped = (value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n") for value in values)
    return "{" + ",".join(f'{name}="{value}"' for name, value in zip(names, escaped, strict=True)) + "}"
