"""The tables of sums, and the indexes of requests."""

import pytest

from pointsman.control.store.series import REQUEST_SERIES, SPLIT_SERIES, TAG_SERIES, USAGE_SERIES, Series
from pointsman.control.store.tables import REQUESTS


@pytest.mark.parametrize("series", [USAGE_SERIES, TAG_SERIES, SPLIT_SERIES, REQUEST_SERIES])
def test_tables_of_a_series_differ_only_in_their_time(series: Series) -> None:
    for table in series.tables.values():
        time, *names = [column.name for column in table.primary_key]
        assert time in ("minute", "hour", "day")
        assert tuple(names) == series.names
        assert {column.name for column in table.columns} == {time, *series.names, *series.sums}


def test_indexes_of_filters_have_the_order_of_ids() -> None:
    orders = {str(index.name): [column.name for column in index.columns] for index in REQUESTS.indexes}
    del orders["requests_by_ingestion"]
    assert len(orders) == 11
    assert all(columns[1:] == ["request_id"] for columns in orders.values())
