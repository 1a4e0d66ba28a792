"""The metrics of all workers and of control as one page for Prometheus.

Format: https://prometheus.io/docs/instrumenting/exposition_formats/, written by `prometheus_client`.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import accumulate
from threading import Lock

import msgspec
from msgspec.structs import replace
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar

from pointsman.admin.export.exemplars import Example, Exemplars
from pointsman.telemetry.metrics import (
    Counter,
    CounterFamily,
    GaugeFamily,
    Histogram,
    HistogramFamily,
    MetricsPage,
    decode_page,
)

MAX_GONE = 16  # ended workers whose last page is kept as it was


class WorkerPages:
    """The last page of every worker, by its epoch.

    A sum over workers must not fall when a worker ends or does not answer in time. Else `rate()` would count the rest
    of the sum as new. So the counters of an ended worker stay in the sum. Its gauges do not.
    """

    def __init__(self) -> None:
        self._pages: dict[int, MetricsPage] = {}
        self._one_at_a_time = Lock()
        self._before = MetricsPage()  # the sum over workers that ended long ago

    def page(self, pages: Mapping[int, bytes], alive: Iterable[int], own: MetricsPage) -> MetricsPage:
        """Return the whole page, from new pages and control's own. Takes some milliseconds, so it runs in a thread, one
        at a time."""
        with self._one_at_a_time:
            readable: dict[int, MetricsPage] = {}
            for epoch, page in pages.items():
                with suppress(msgspec.DecodeError):  # of another version, which drains
                    readable[epoch] = decode_page(page)
            return merged([self.take(readable, alive), own])

    def take(self, pages: Mapping[int, MetricsPage], alive: Iterable[int]) -> MetricsPage:
        """Return the sum, including these new pages. `alive` are the connected workers."""
        self._pages.update(pages)
        living = set(alive)
        gone = [epoch for epoch in self._pages if epoch not in living]
        for epoch in gone[: max(0, len(gone) - MAX_GONE)]:
            page = self._pages.pop(epoch)
            self._before = merged([self._before, MetricsPage(page.counters, page.histograms)])
        pages_now = [
            page if epoch in living else MetricsPage(page.counters, page.histograms)
            for epoch, page in self._pages.items()
        ]
        return merged([self._before, *pages_now])


def merged(pages: Iterable[MetricsPage]) -> MetricsPage:
    """Merge pages into one that has each series once."""
    counters: dict[str, CounterFamily] = {}
    histograms: dict[str, HistogramFamily] = {}
    gauges: dict[str, GaugeFamily] = {}
    for page in pages:
        for family in page.counters:
            _add_counters(counters, family)
        for one in page.histograms:
            _add_histograms(histograms, one)
        for read in page.gauges:
            _add_gauges(gauges, read)
    return MetricsPage(list(counters.values()), list(histograms.values()), list(gauges.values()))


def _add_counters(found: dict[str, CounterFamily], family: CounterFamily) -> None:
    known = found.setdefault(family.name, replace(family, by_labels={}))
    if known.labels != family.labels:  # of another version, which drains
        return
    for labels, one in family.by_labels.items():
        known.by_labels[labels] = Counter(
            known.by_labels[labels].value + one.value if labels in known.by_labels else one.value
        )


def _add_histograms(found: dict[str, HistogramFamily], family: HistogramFamily) -> None:
    known = found.setdefault(family.name, replace(family, by_labels={}))
    if (known.labels, known.bounds) != (family.labels, family.bounds):
        return
    for labels, one in family.by_labels.items():
        other = known.by_labels.get(labels)
        counts = one.counts if other is None else [a + b for a, b in zip(one.counts, other.counts, strict=True)]
        total = one.total if other is None else one.total + other.total
        known.by_labels[labels] = Histogram(one.bounds, counts, total)


def _add_gauges(found: dict[str, GaugeFamily], family: GaugeFamily) -> None:
    known = found.setdefault(family.name, replace(family, by_labels={}))
    for labels, value in family.by_labels.items() if known.labels == family.labels else ():
        before = known.by_labels.get(labels)
        if before is None:
            known.by_labels[labels] = value
        else:
            known.by_labels[labels] = max(before, value) if family.is_maximum else before + value


class _Families(Collector):
    def __init__(self, page: MetricsPage, exemplars: Exemplars) -> None:
        self._page = page
        self._exemplars = exemplars

    def collect(self) -> Iterator[Metric]:
        for counters in self._page.counters:
            summed = CounterMetricFamily(counters.name, counters.description, labels=counters.labels)
            per_unit = counters.per_unit
            for labels, counter in counters.by_labels.items():
                summed.add_metric(labels, counter.value / per_unit if per_unit != 1 else counter.value)
            yield summed
        for histograms in self._page.histograms:
            made = HistogramMetricFamily(histograms.name, histograms.description, labels=histograms.labels)
            for labels, one in histograms.by_labels.items():
                bounds = (*map(repr, one.bounds), "+Inf")
                examples = self._exemplars.by_bucket(histograms.name, labels, one.bounds)
                buckets = [
                    (bound, count, _exemplar(examples[place])) if place in examples else (bound, count)
                    for place, (bound, count) in enumerate(zip(bounds, accumulate(one.counts), strict=True))
                ]
                made.add_metric(labels, buckets, one.total)
            yield made
        for gauges in self._page.gauges:
            read = GaugeMetricFamily(gauges.name, gauges.description, labels=gauges.labels)
            for labels, value in gauges.by_labels.items():
                read.add_metric(labels, value)
            yield read


def _exemplar(example: Example) -> Exemplar:
    return Exemplar({"trace_id": example.trace_id}, example.value, example.at)


def render(page: MetricsPage, accept: str = "", exemplars: Exemplars | None = None) -> bytes:
    """Return the page in OpenMetrics if the header `accept` names it, else in the text format of Prometheus, which has
    no exemplars."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Families(page, exemplars or Exemplars()))
    return choose_encoder(accept)[0](registry)


def content_type(accept: str) -> str:
    """Return the type of the content that `render` returns for a header `accept`."""
    return choose_encoder(accept)[1]
