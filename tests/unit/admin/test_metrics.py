"""The pages of several workers are merged into one for Prometheus."""

from collections.abc import Mapping

from fakes.metrics import samples
from pointsman.admin import metrics
from pointsman.admin.metrics import WorkerPages, merged, render
from pointsman.telemetry.metrics import CounterFamily, HistogramFamily, MetricsPage, encode_page, gauge


def page(count: int, *, seconds: float = 0.25, busy: float = 1, key: str = "a b") -> MetricsPage:
    counters = CounterFamily("asked_total", "Requests.", ("key",))
    counters.series(key).value += count
    histograms = HistogramFamily("took_seconds", "Time.", (), (0.5, 1.0))
    histograms.series().observe(seconds)
    return MetricsPage(
        [counters], [histograms], [gauge("busy", "Now.", busy), gauge("oldest", "Age.", busy, is_maximum=True)]
    )


def test_equal_series_are_added_up_and_others_kept() -> None:
    found = samples(merged([page(2), page(3, seconds=0.75), page(1, key="c")]))
    assert found['asked_total{key="a b"}'] == 5
    assert found['asked_total{key="c"}'] == 1
    assert found['took_seconds_bucket{le="0.5"}'] == 2
    assert found['took_seconds_bucket{le="1.0"}'] == found['took_seconds_bucket{le="+Inf"}'] == 3
    assert found["took_seconds_count"] == 3
    assert found["took_seconds_sum"] == 1.25
    assert (found["busy"], found["oldest"]) == (3, 1)


def test_merging_changes_no_page() -> None:
    one = page(2)
    merged([one, page(3)])
    assert one == page(2)


def test_counters_are_shown_in_their_unit() -> None:
    cost = CounterFamily("cost_dollars_total", "Cost.", (), 1_000_000_000)
    cost.series().value += 1_234_567_890_123
    assert samples(MetricsPage([cost])) == {"cost_dollars_total": 1234.567890123}


def test_labels_are_escaped() -> None:
    evil = 'x"} 1\nasked_total{key="\\'
    text = render(page(1, key=evil)).decode()
    assert text.count("\nasked_total") == 1
    escaped = evil.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    assert f'asked_total{{key="{escaped}"}} 1.0' in text


def test_types_and_help_are_written_once() -> None:
    lines = render(merged([page(1), page(2)])).decode().splitlines()
    comments = [line for line in lines if line.startswith("#")]
    assert len(comments) == len(set(comments)) == 8
    assert "# TYPE asked_total counter" in comments
    assert "# TYPE took_seconds histogram" in comments


def take(pages: WorkerPages, given: Mapping[int, MetricsPage], alive: list[int]) -> dict[str, float]:
    return samples(
        render(pages.page({epoch: encode_page(one) for epoch, one in given.items()}, alive, MetricsPage())).decode()
    )


def test_sum_never_falls_when_a_worker_is_silent_or_ends() -> None:
    """Else `rate()` would count the remaining sum as new."""
    pages = WorkerPages()
    assert take(pages, {1: page(5), 2: page(7)}, [1, 2])['asked_total{key="a b"}'] == 12
    silent = take(pages, {1: page(6)}, [1, 2])
    assert (silent['asked_total{key="a b"}'], silent["busy"]) == (13, 2)
    ended = take(pages, {1: page(6)}, [1])
    assert (ended['asked_total{key="a b"}'], ended["busy"]) == (13, 1), "the gauges of an ended worker are left out"
    followed = take(pages, {1: page(6), 3: page(1)}, [1, 3])
    assert followed['asked_total{key="a b"}'] == 14
    assert followed["took_seconds_count"] == 3


def test_pages_of_long_ended_workers_are_kept_as_a_sum() -> None:
    pages = WorkerPages()
    count = metrics.MAX_GONE + 10
    for epoch in range(count):
        found = take(pages, {epoch: page(2)}, [epoch])
        assert found['asked_total{key="a b"}'] == 2 * (epoch + 1)
    assert len(pages._pages) <= metrics.MAX_GONE + 1


def test_page_of_another_version_is_left_out() -> None:
    pages = WorkerPages()
    assert b"asked" not in render(pages.page({1: b"nonsense"}, [1], MetricsPage()))
