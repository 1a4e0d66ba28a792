"""Facts of rows."""

from fakes.alerts import state
from pointsman.alerting.api import values_of


def test_facts_are_the_fields_of_a_row() -> None:
    assert values_of(state())["provider"] == "p"
