"""Conditions about records."""

import pytest

from pointsman.config.record_conditions import ConditionFacts, RecordCondition
from pointsman.routing.conditions.references import ConditionError

FACTS = ConditionFacts(
    status=200,
    model="chat",
    tokens_out=7,
    cost_nano=2 * 10**8,
    duration_us=1_500_000,
    attempts=({}, {}),
    tags={"feature": "search"},
)


@pytest.mark.parametrize(
    ("source", "holds"),
    [
        ('cost_usd > 0.1 && tags["feature"] == "search"', True),
        ("cost_usd > 1", False),
        ("duration_s >= 1.5 && attempts > 1 && !stream", True),
        ('status == 200 && team == "" && labels["tier"] == ""', True),
        ('model.startsWith("ch") || tokens_in > 5', True),
        ("tokens_out / tokens_in > 1", False),  # a division by zero
    ],
)
def test_condition_reads_the_record(source: str, holds: bool) -> None:
    assert RecordCondition(source).holds(FACTS) is holds


def test_condition_that_is_not_valid_is_an_error() -> None:
    for source in ("cost > 1", "model", 'headers["a"] == "b"', "status =="):
        with pytest.raises(ConditionError):
            RecordCondition(source)
