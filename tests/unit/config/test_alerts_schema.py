"""Short forms of kinds of conditions."""

import pytest
from pydantic import ValidationError

from pointsman.config.alerts_schema import AlertKindSettings, AlertRuleSettings


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("budget", AlertKindSettings(name="budget")),
        ({"budget": None}, AlertKindSettings(name="budget")),
        ({"budget": [50]}, AlertKindSettings(name="budget", value=[50])),
        ({"budget": {"percent": [50]}}, AlertKindSettings(name="budget", settings={"percent": [50]})),
    ],
)
def test_kind_is_a_name_or_a_name_with_settings(given: object, expected: AlertKindSettings) -> None:
    assert AlertRuleSettings.model_validate({"name": "a", "kind": given}).kind == expected


@pytest.mark.parametrize("given", [7, [], {"a": 1, "b": 2}])
def test_other_values_are_rejected(given: object) -> None:
    with pytest.raises(ValidationError, match="must be the name of a kind"):
        AlertRuleSettings.model_validate({"name": "a", "kind": given})
