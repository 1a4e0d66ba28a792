"""The pages of several workers become one."""

from pointsman.control.metrics import merge

PAGE = [
    "# HELP asked_total Requests.",
    "# TYPE asked_total counter",
    'asked_total{key="a b"} 2',
    "# HELP took_seconds Time.",
    "# TYPE took_seconds histogram",
    'took_seconds_bucket{le="1"} 1',
    "took_seconds_sum 0.25",
]


def test_equal_series_are_summed_up() -> None:
    other = [*PAGE[:2], 'asked_total{key="a b"} 3', 'asked_total{key="c"} 1']
    merged = merge([PAGE, other])
    assert 'asked_total{key="a b"} 5' in merged
    assert 'asked_total{key="c"} 1' in merged
    assert len(merged) == len(set(merged)) == 8


def test_comments_come_once_and_before_their_series() -> None:
    merged = merge([PAGE, PAGE])
    assert [line for line in merged if line.startswith("#")] == [line for line in PAGE if line.startswith("#")]
    assert merged.index("# TYPE took_seconds histogram") < merged.index("took_seconds_sum 0.5")
    assert merged.index('asked_total{key="a b"} 4') < merged.index("# HELP took_seconds Time.")


def test_large_counters_stay_exact() -> None:
    page = ["# TYPE spent counter", "spent 123456789012"]
    assert merge([page, page])[-1] == "spent 246913578024"


def test_no_page_is_an_empty_page() -> None:
    assert merge([]) == []
