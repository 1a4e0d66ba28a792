"""Readings: moving averages of a candidate's speed and errors."""

import pytest
from msgspec.structs import replace

from fakes.routing import NOW, failure
from pointsman.domain import failures
from pointsman.domain.failures import Failure
from pointsman.routing.readings import WEIGHT, Reading, observe


def observed(
    before: Reading | None,
    took_s: float = 1.0,
    first_s: float | None = 0.2,
    tokens: int = 10,
    failed: Failure | None = None,
) -> Reading:
    first_byte_at = NOW + first_s if first_s is not None else None
    reading = observe(before, failed, NOW, first_byte_at, ended_at=NOW + took_s, tokens=tokens)
    assert reading is not None
    return reading


def test_first_attempt_sets_the_averages() -> None:
    reading = observed(None)
    assert (reading.at, reading.samples, reading.error_rate) == (NOW + 1, 1, 0.0)
    assert reading.duration_s == pytest.approx(1.0)
    assert reading.first_byte_s == pytest.approx(0.2)
    assert reading.token_s == pytest.approx(0.1)


def test_later_attempts_move_the_averages_by_their_weight() -> None:
    reading = observed(observed(None), took_s=2.0, first_s=1.2, tokens=10)
    assert reading.samples == 2
    assert reading.duration_s == pytest.approx(1 + WEIGHT)
    assert reading.first_byte_s == pytest.approx(0.2 + WEIGHT)
    assert reading.token_s == pytest.approx(0.1 + 0.1 * WEIGHT)


def test_missing_first_byte_and_tokens_leave_their_averages_alone() -> None:
    reading = observed(observed(None), first_s=None, tokens=0)
    assert [reading.first_byte_s, reading.token_s] == pytest.approx([0.2, 0.1])


def test_time_to_the_first_content_of_a_stream_has_its_own_average() -> None:
    reading = None
    for content_s in (None, 0.5, 1.5, None):
        content_at = NOW + content_s if content_s is not None else None
        reading = observe(reading, None, NOW, NOW, ended_at=NOW + 2, tokens=9, content_at=content_at)
        reading = replace(reading, at=0.0) if reading is not None else None
    assert reading is not None
    assert reading.content_s == pytest.approx(0.5 + WEIGHT)
    assert observed(reading, failed=failure()).content_s == reading.content_s


def test_failures_of_the_provider_move_the_error_rate_alone() -> None:
    reading = observed(observed(None), took_s=9.0, failed=failure())
    assert [reading.error_rate, reading.duration_s] == pytest.approx([WEIGHT, 1.0])
    assert observed(reading).error_rate == pytest.approx(WEIGHT - WEIGHT**2)
    assert observed(None, failed=failure()).error_rate == 1.0


@pytest.mark.parametrize("kind", [failures.CLIENT_GONE, failures.UPSTREAM_RATE_LIMITED, failures.INVALID_REQUEST])
def test_other_failures_do_not_change_the_reading(kind: failures.Kind) -> None:
    before = observed(None)
    assert observe(before, failure(kind), NOW, None, ended_at=NOW + 9, tokens=0) is before
    assert observe(None, failure(kind), NOW, None, ended_at=NOW + 9, tokens=0) is None
