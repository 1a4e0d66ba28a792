"""Windows of periods, and the names of limits."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.domain.limits import Limit, Period

BERLIN = ZoneInfo("Europe/Berlin")
CALENDAR_UNITS = ("minute", "hour", "day", "week", "month", "quarter", "year")
PERIODS = [Period(unit, zone=zone) for unit in CALENDAR_UNITS for zone in (None, BERLIN, ZoneInfo("Asia/Kathmandu"))]
PERIODS += [Period("hours", count) for count in (1, 5, 6, 24, 168)]
MOMENTS = st.floats(0, 4e9)


def at(text: str, zone: ZoneInfo | None = None) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=zone or UTC).timestamp())


@given(st.sampled_from(PERIODS), MOMENTS)
def test_windows_follow_each_other_without_gap_or_overlap(period: Period, now: float) -> None:
    start, end = period.window(now)
    assert start <= now < end
    assert period.window(start) == period.window(end - 0.001) == (start, end)
    assert period.window(end)[0] == end
    assert period.window(start - 0.001)[1] == start


@pytest.mark.parametrize(
    ("unit", "start", "end"),
    [
        ("minute", "2026-11-23T14:35:00", "2026-11-23T14:36:00"),
        ("hour", "2026-11-23T14:00:00", "2026-11-23T15:00:00"),
        ("day", "2026-11-23T00:00:00", "2026-11-24T00:00:00"),
        ("week", "2026-11-23T00:00:00", "2026-11-30T00:00:00"),
        ("month", "2026-11-01T00:00:00", "2026-12-01T00:00:00"),
        ("quarter", "2026-10-01T00:00:00", "2027-01-01T00:00:00"),
        ("year", "2026-01-01T00:00:00", "2027-01-01T00:00:00"),
    ],
)
def test_calendar_windows_start_and_end_at_local_boundaries(unit: str, start: str, end: str) -> None:
    assert Period(unit).window(at("2026-11-23T14:35:17")) == (at(start), at(end))


def test_zone_moves_the_day_and_its_length() -> None:
    day = Period("day", zone=BERLIN)
    assert day.window(at("2026-11-23T23:30:00")) == (at("2026-11-23T23:00:00"), at("2026-11-24T23:00:00"))
    for date, hours in (("2026-03-29", 23), ("2026-10-25", 25)):
        start, end = day.window(at(f"{date}T12:00:00", BERLIN))
        assert end - start == hours * 3600


def test_counters_are_named_by_owner_metric_and_period() -> None:
    limit = Limit(level="team", owner="team:research", metric="usd", period=Period("hours", 6), amount=50_000_000_000)
    assert limit.counter == "team:research|usd|6h"
    assert str(limit) == "budget of $50 per 6 hours of team research"
    rate = Limit(level="entry", owner="entry:me/openai", metric="tokens", period=Period("minute"), amount=200)
    assert str(rate) == "limit of 200 tokens per minute of virtual key and provider me/openai"
    assert (limit.counts_attempts, rate.counts_attempts) == (False, True)
