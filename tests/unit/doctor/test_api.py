"""The types of checks."""

from pointsman.doctor.api import days


def test_days_are_whole() -> None:
    assert [days(one * 86_400) for one in (0.5, 1.5, 2)] == ["0 days", "1 day", "2 days"]
