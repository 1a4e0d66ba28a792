"""Metrics in the text format of Prometheus."""

from pointsman.telemetry.metrics import MAX_SERIES, OTHER, CounterFamily, HistogramFamily, gauge_lines, label_text


def test_counters() -> None:
    family = CounterFamily("requests_total", "Requests.", ("provider", "code"))
    one = family.series("a", "ok")
    one.value += 2
    family.series("b", "ok").value += 1
    assert family.series("a", "ok") is one
    assert list(family.lines()) == [
        "# HELP requests_total Requests.",
        "# TYPE requests_total counter",
        'requests_total{provider="a",code="ok"} 2',
        'requests_total{provider="b",code="ok"} 1',
    ]


def test_a_histogram_is_cumulative_and_its_bounds_inclusive() -> None:
    family = HistogramFamily("seconds", "Time.", ("p",), (0.1, 1.0))
    histogram = family.series("a")
    for value in (0.05, 0.1, 0.5, 1.0, 7.0):
        histogram.observe(value)
    assert family.series("a") is histogram
    assert list(family.lines()) == [
        "# HELP seconds Time.",
        "# TYPE seconds histogram",
        'seconds_bucket{p="a",le="0.1"} 2',
        'seconds_bucket{p="a",le="1.0"} 4',
        'seconds_bucket{p="a",le="+Inf"} 5',
        f'seconds_sum{{p="a"}} {0.05 + 0.1 + 0.5 + 1.0 + 7.0!r}',
        'seconds_count{p="a"} 5',
    ]


def test_a_family_without_labels() -> None:
    counter = CounterFamily("n_total", "N.", ())
    counter.series().value += 1
    assert list(counter.lines())[-1] == "n_total 1"
    histogram = HistogramFamily("h", "H.", (), (1.0,))
    histogram.series().observe(2)
    assert list(histogram.lines())[2:] == ['h_bucket{le="1.0"} 0', 'h_bucket{le="+Inf"} 1', "h_sum 2.0", "h_count 1"]


def test_what_clients_make_up_cannot_fill_the_memory() -> None:
    counters = CounterFamily("n_total", "N.", ("model", "x"))
    histograms = HistogramFamily("h", "H.", ("model", "x"), (1.0,))
    for number in range(MAX_SERIES + 50):
        counters.series(str(number), "y").value += 1
        histograms.series(str(number), "y").observe(0)
    assert len(list(counters.lines())) == 2 + MAX_SERIES + 1
    assert counters.series(OTHER, OTHER).value == 50
    assert histograms.series(OTHER, OTHER).counts == [50, 0]
    assert counters.series("0", "y").value == 1


def test_gauges_are_exact() -> None:
    samples = [({}, 1_800_000_000.25), ({"a": "b"}, 3.0), ({"a": "c"}, 12_345_678.0)]
    assert list(gauge_lines("g", "G.", samples)) == [
        "# HELP g G.",
        "# TYPE g gauge",
        "g 1800000000.25",
        'g{a="b"} 3.0',
        'g{a="c"} 12345678.0',
    ]


def test_labels_are_escaped() -> None:
    assert label_text(("a",), ('x"y\\z\n',)) == '{a="x\\"y\\\\z\\n"}'
    assert label_text((), ()) == ""
