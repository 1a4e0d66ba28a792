"""Series of metrics, and their encoding."""

import msgspec
import pytest

from pointsman.telemetry import metrics
from pointsman.telemetry.metrics import (
    OTHER,
    CounterFamily,
    HistogramFamily,
    MetricsPage,
    counter,
    decode_page,
    encode_page,
    gauge,
)


def test_series_is_created_once() -> None:
    family = CounterFamily("requests_total", "Requests.", ("provider", "code"))
    one = family.series("a", "ok")
    one.value += 2
    family.series("b", "ok").value += 1
    assert family.series("a", "ok") is one
    assert {labels: found.value for labels, found in family.by_labels.items()} == {("a", "ok"): 2, ("b", "ok"): 1}


def test_bounds_of_a_histogram_are_inclusive() -> None:
    family = HistogramFamily("seconds", "Time.", ("p",), (0.1, 1.0))
    histogram = family.series("a")
    for value in (0.05, 0.1, 0.5, 1.0, 7.0):
        histogram.observe(value)
    assert family.series("a") is histogram
    assert histogram.counts == [2, 2, 1]
    assert histogram.total == 0.05 + 0.1 + 0.5 + 1.0 + 7.0


def test_families_share_no_series() -> None:
    CounterFamily("a_total", "A.", ()).series().value += 1
    assert CounterFamily("b_total", "B.", ()).by_labels == {}


def test_series_beyond_the_limit_are_counted_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "MAX_SERIES", 20)
    counters = CounterFamily("n_total", "N.", ("model", "x"))
    histograms = HistogramFamily("h", "H.", ("model", "x"), (1.0,))
    for number in range(70):
        counters.series(str(number), "y").value += 1
        histograms.series(str(number), "y").observe(0)
    assert len(counters.by_labels) == 21
    assert counters.series(OTHER, OTHER).value == 50
    assert histograms.series(OTHER, OTHER).counts == [50, 0]
    assert counters.series("0", "y").value == 1


def test_page_survives_encoding() -> None:
    counters = CounterFamily("n_total", "N.", ("model",), 1_000_000_000)
    counters.series('a "quoted" name\n').value += 2**62
    histograms = HistogramFamily("h", "H.", (), (0.5,))
    histograms.series().observe(0.25)
    gauges = [gauge("g", "G.", [(("a",), 1.5)], ("x",), is_maximum=True), gauge("one", "One.", 7)]
    page = MetricsPage([counters, counter("other_total", "Counted elsewhere.", 3)], [histograms], gauges)
    assert decode_page(encode_page(page)) == page
    with pytest.raises(msgspec.DecodeError):
        decode_page(b"not a page")


def test_samples_of_a_gauge_with_equal_labels_are_added() -> None:
    found = gauge("g", "G.", [(("a", "other"), 1), (("a", "other"), 2), (("b", "m"), 3)], ("provider", "model"))
    assert found.by_labels == {("a", "other"): 3, ("b", "m"): 3}
