"""Readings of the metrics of all workers, and the rates between two of them."""

from collections import defaultdict, deque
from collections.abc import Mapping, Sequence

from msgspec import Struct

from pointsman.alerting.subjects.target import TargetFacts
from pointsman.domain.dollars import NANO
from pointsman.domain.failures import KINDS, Fault
from pointsman.telemetry.metrics import HistogramFamily, Labels, MetricsPage
from pointsman.telemetry.quantiles import quantile

Target = tuple[str, str]
"""A provider and its model."""

KEPT = 32  # readings of one span
_COUNTERS = frozenset(
    {"pointsman_requests_total", "pointsman_attempts_total", "pointsman_tokens_total", "pointsman_cost_dollars_total"}
)
_HISTOGRAMS = frozenset(
    {"pointsman_first_byte_seconds", "pointsman_request_duration_seconds", "pointsman_gateway_seconds"}
)
_FAULTS = frozenset({Fault.PROVIDER, Fault.QUOTA, Fault.CREDENTIAL})
_GAUGES = frozenset({"pointsman_requests_in_progress", "pointsman_attempts_in_progress", "pointsman_breakers_frozen"})


class Buckets(Struct, frozen=True):
    """The counts of a histogram."""

    bounds: Sequence[float] = ()
    counts: Sequence[int] = ()

    def since(self, before: "Buckets") -> "Buckets":
        """Return the counts of the observations after another reading."""
        if before.bounds != self.bounds:
            return self
        return Buckets(self.bounds, [max(0, a - b) for a, b in zip(self.counts, before.counts, strict=True)])

    def quantile(self, share: float) -> float | None:
        return quantile(share, self.bounds, self.counts)


class TargetReading(Struct):
    """The counters of one target. Money is in nano-dollars."""

    attempts: int = 0
    failed: int = 0
    tokens: int = 0
    nano: int = 0
    in_progress: int = 0
    first_byte: Buckets = Buckets()


class MetricsReading(Struct):
    """The counters of all workers at a time in monotonic seconds."""

    at: float
    requests: int
    failed: int
    in_progress: int
    suspecting: int
    duration: Buckets
    own: Buckets
    targets: dict[Target, TargetReading]


class ReadingSpan(Struct):
    """The difference of two readings, over some seconds."""

    seconds: float
    before: MetricsReading
    now: MetricsReading

    def targets(self) -> list[TargetFacts]:
        """Return the facts of each target that had attempts."""
        return [self._target(target, one) for target, one in self.now.targets.items()]

    def _target(self, target: Target, now: TargetReading) -> TargetFacts:
        before, seconds = self.before.targets.get(target, TargetReading()), self.seconds
        attempts = max(0, now.attempts - before.attempts)
        times = now.first_byte.since(before.first_byte)
        return TargetFacts(
            provider=target[0],
            model=target[1],
            attempts=attempts,
            attempts_per_s=attempts / seconds,
            error_rate=max(0, now.failed - before.failed) / attempts if attempts else 0.0,
            attempts_in_progress=now.in_progress,
            first_byte_p50_s=times.quantile(0.5),
            first_byte_p95_s=times.quantile(0.95),
            first_byte_p99_s=times.quantile(0.99),
            tokens_per_s=max(0, now.tokens - before.tokens) / seconds,
            usd_per_h=max(0, now.nano - before.nano) / NANO * 3600 / seconds,
        )


class Readings:
    """The readings of the last `over_s` seconds. They are thinned out, so that there are few of them."""

    def __init__(self, over_s: float) -> None:
        self._over_s = over_s
        self._kept: deque[MetricsReading] = deque(maxlen=KEPT + 2)
        self._newest: MetricsReading | None = None

    def add(self, one: MetricsReading) -> None:
        self._newest = one
        if not self._kept or one.at - self._kept[-1].at >= self._over_s / KEPT:
            self._kept.append(one)
        while len(self._kept) > 1 and self._kept[1].at <= one.at - self._over_s:
            self._kept.popleft()

    def span(self) -> ReadingSpan | None:
        """Return the difference of the newest reading and the oldest one, or `None` before there are two."""
        newest = self._newest
        if newest is None or not self._kept or self._kept[0].at >= newest.at:
            return None
        return ReadingSpan(newest.at - self._kept[0].at, self._kept[0], newest)


def used_part(page: MetricsPage) -> MetricsPage:
    """Return the families of a worker's page that readings need."""
    return MetricsPage(
        [one for one in page.counters if one.name in _COUNTERS],
        [one for one in page.histograms if one.name in _HISTOGRAMS],
        [one for one in page.gauges if one.name in _GAUGES],
    )


def reading(page: MetricsPage, at: float) -> MetricsReading:
    """Return the reading of a page with the sums of all workers."""
    targets: dict[Target, TargetReading] = defaultdict(TargetReading)
    requests = failed = 0
    for name, family in [(one.name, one) for one in page.counters if one.name in _COUNTERS]:
        for labels, counter in family.by_labels.items():
            named = dict(zip(family.labels, labels, strict=True))
            if name == "pointsman_requests_total":
                requests += counter.value
                failed += counter.value if named["status"] >= "500" else 0
                continue
            target = targets[named["provider"], named["model"]]
            if name == "pointsman_attempts_total":
                target.attempts += counter.value
                target.failed += counter.value if _is_fault(named["outcome"]) else 0
            elif name == "pointsman_tokens_total":
                target.tokens += counter.value
            elif name == "pointsman_cost_dollars_total":
                target.nano += counter.value
    histograms = {one.name: one for one in page.histograms}
    first_bytes = histograms.get("pointsman_first_byte_seconds")
    for labels, one in first_bytes.by_labels.items() if first_bytes is not None else ():
        targets[_target(labels)].first_byte = Buckets(one.bounds, one.counts)
    gauges = {one.name: one.by_labels for one in page.gauges}
    for labels, value in gauges.get("pointsman_attempts_in_progress", {}).items():
        targets[_target(labels)].in_progress += int(value)
    return MetricsReading(
        at=at,
        requests=requests,
        failed=failed,
        in_progress=int(sum(gauges.get("pointsman_requests_in_progress", {}).values())),
        suspecting=int(sum(gauges.get("pointsman_breakers_frozen", {}).values())),
        duration=_all_of(histograms, "pointsman_request_duration_seconds"),
        own=_all_of(histograms, "pointsman_gateway_seconds"),
        targets=dict(targets),
    )


def _is_fault(outcome: str) -> bool:
    """Return whether an attempt failed by its provider."""
    return outcome in KINDS and KINDS[outcome].fault in _FAULTS


def _target(labels: Labels) -> Target:
    provider, model = labels
    return provider, model


def _all_of(histograms: Mapping[str, HistogramFamily], name: str) -> Buckets:
    """Return the sum over all series of a histogram."""
    family = histograms.get(name)
    if family is None:
        return Buckets()
    nothing = [0] * (len(family.bounds) + 1)  # before the first request
    each = [nothing, *(one.counts for one in family.by_labels.values())]
    return Buckets(family.bounds, [sum(counts) for counts in zip(*each, strict=True)])
