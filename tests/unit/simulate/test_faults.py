"""Parsing, combination and scheduling of faults."""

import random

import pytest

from pointsman.simulate.faults import FAULTS, Faults, Schedule, combine, parse
from pointsman.simulate.settings import ScheduledFault


def test_names_and_arguments() -> None:
    assert parse("status=503, gzip ,error_mid_stream") == {"status": 503, "gzip": 0, "error_mid_stream": 1}
    assert parse("") == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hang_after_heat", "did you mean 'hang_after_head'"),
        ("status", "requires an argument; write status=NUMBER"),
        ("status=many", "must be a number, not 'many'"),
        ("reset_at=", "must be a number"),
    ],
)
def test_invalid_faults_are_rejected_with_a_hint(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse(text)


def test_stronger_sources_win_and_none_clears() -> None:
    assert combine([parse("status=500,gzip"), parse("status=429")]) == {"status": 429, "gzip": 0}
    assert combine([parse("status=500"), parse("none,gzip")]) == {"gzip": 0}
    assert combine([]) == {}


def at(schedule: Schedule, index: int) -> Faults:
    return schedule.at(index, random.Random(1))


def test_schedule_by_request() -> None:
    schedule = Schedule([ScheduledFault(fault="status=500", from_request=2, to_request=4)])
    assert [sorted(at(schedule, index)) for index in range(5)] == [[], [], ["status"], ["status"], []]


def test_schedule_by_probability() -> None:
    schedule = Schedule([ScheduledFault(fault="hang", probability=0.25)])
    rng = random.Random(7)
    struck = sum("hang" in schedule.at(index, rng) for index in range(4000))
    assert 900 < struck < 1100


def test_refusals_cannot_be_scheduled() -> None:
    with pytest.raises(ValueError, match="cannot be scheduled"):
        Schedule([ScheduledFault(fault="refuse", from_request=3)])


def test_every_default_argument_parses() -> None:
    for name, default in FAULTS.items():
        assert name in parse(name if default is not None else f"{name}=1")
