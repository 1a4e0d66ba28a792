"""The closed table of failures."""

import pytest

from pointsman.domain import failures
from pointsman.domain.failures import Failure, Fault, Kind, Rejection

ROWS = [value for value in vars(failures).values() if isinstance(value, Kind)]


def test_every_row_has_a_unique_code() -> None:
    assert len({row.code for row in ROWS}) == len(ROWS)
    assert {row.code: row for row in ROWS} == failures.KINDS


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.code)
def test_every_row_has_a_valid_status_and_type(row: Kind) -> None:
    assert row.code == row.code.lower()
    assert 400 <= row.status <= 599
    assert row.type
    if row.fault is Fault.PROVIDER:
        assert row.status in (502, 503, 504)
    if row.fault is Fault.QUOTA:
        assert row.status == 429
    if row.fault is Fault.CREDENTIAL:
        assert row.status == 502  # a client must not take the gateway's key for its own


def test_rejection_carries_its_failure() -> None:
    failure = Failure(failures.INVALID_JSON, "not JSON")
    rejection = Rejection(failure)
    assert rejection.failure is failure
    assert str(rejection) == "not JSON"
