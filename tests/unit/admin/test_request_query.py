"""The parameters that choose requests."""

from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from pointsman.admin.problems import ApiError
from pointsman.admin.request_query import RequestQuery
from pointsman.control.store.reports import first_id
from pointsman.domain.rights import ALL


def test_parameters_become_a_filter() -> None:
    query = RequestQuery(
        key="me", status=0, tag="a=b", error=True, min_cost_usd=Decimal("0.000000001"), max_duration_s=1.5, since=5.0
    )
    found = query.chosen(ALL)
    assert found.equal == {"virtual_key": "me", "status": 0}
    assert (found.tag, found.is_failed, found.least_nano, found.most_nano) == ("a=b", True, 1, None)
    assert (found.least_us, found.most_us) == (None, 1_500_000)
    assert found.after == first_id(5.0)
    assert query.names() == {"virtual_key": "me"}


def test_earlier_bound_of_time_and_id_counts() -> None:
    assert RequestQuery(before=first_id(7.0), until=9.0).chosen(ALL).before == first_id(7.0)
    assert RequestQuery(before=first_id(7.0), until=3.0).chosen(ALL).before == first_id(3.0)


@pytest.mark.parametrize("values", [{"min_cost_usd": -1}, {"min_duration_s": "nan"}, {"error": "maybe"}, {"other": 1}])
def test_invalid_values_are_rejected(values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        RequestQuery(**values)


def test_empty_span_is_rejected() -> None:
    with pytest.raises(ApiError, match="until: must be later than since"):
        RequestQuery(since=5.0, until=4.0).chosen(ALL)
