"""The used percentage of limits by scope and metric."""

import pytest

from fakes.routing import FakeView
from pointsman.domain.limits import Level, Limit, Metric, Period
from pointsman.domain.snapshots import NO_SNAPSHOT
from pointsman.routing.used_percent import highest_percent, limits_in


def limit(owner: str, metric: Metric = "usd", unit: str = "day", amount: int = 200) -> Limit:
    level: Level = owner.split(":", maxsplit=1)[0]  # type: ignore[assignment]
    return Limit(level=level, owner=owner, metric=metric, period=Period(unit), amount=amount)


KEY_DAY, KEY_MONTH = limit("virtual_key:a"), limit("virtual_key:a", unit="month", amount=1000)
TEAM = limit("team:x")
TOKENS = limit("team:x", "tokens")
OPENAI, GROQ = limit("provider:openai"), limit("provider:groq")
LIMITS = (KEY_DAY, KEY_MONTH, TEAM, TOKENS, OPENAI, GROQ)


def percent(scope: str, metric: Metric = "usd", **used: int | None) -> float | None:
    """Return the percentage if these amounts, by the names of limits in this file, are used."""
    view = FakeView(NO_SNAPSHOT)
    view.amounts = {globals()[name].counter: amount for name, amount in used.items()}
    return highest_percent(limits_in(LIMITS, scope, metric), view, 0.0)


@pytest.mark.parametrize(
    ("scope", "metric", "used", "expected"),
    [
        ("team", "usd", {"TEAM": 50}, 25.0),
        ("team", "tokens", {"TEAM": 50, "TOKENS": 20}, 10.0),
        ("team", "requests", {"TEAM": 50}, 0.0),
        ("customer", "usd", {"TEAM": 50}, 0.0),
        ("virtual_key", "usd", {"KEY_DAY": 20, "KEY_MONTH": 900}, 90.0),
        ("virtual_key", "usd", {"KEY_DAY": 190, "KEY_MONTH": 900}, 95.0),
        ("provider:openai", "usd", {"OPENAI": 20, "GROQ": 100}, 10.0),
        ("provider:mistral", "usd", {"OPENAI": 20}, 0.0),
        ("max", "usd", {"KEY_DAY": 20, "TEAM": 60, "GROQ": 100, "TOKENS": 200}, 50.0),
        ("team", "usd", {"TEAM": 300}, 150.0),
        ("team", "usd", {"TEAM": None}, None),
        ("virtual_key", "usd", {"TEAM": None, "KEY_DAY": 20}, 10.0),
        ("virtual_key", "usd", {"KEY_DAY": 20, "KEY_MONTH": None}, None),
        ("max", "usd", {"KEY_DAY": 20, "GROQ": None}, None),
    ],
)
def test_percentage_is_the_highest_in_its_scope(
    scope: str, metric: Metric, used: dict[str, int | None], expected: float | None
) -> None:
    assert percent(scope, metric, **used) == expected


def test_limit_of_nothing_counts_as_used() -> None:
    assert highest_percent((limit("team:x", amount=0),), FakeView(NO_SNAPSHOT), 0.0) == 100.0
