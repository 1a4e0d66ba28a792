"""The token buckets of a key, and their headers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.providers import PROVIDERS
from pointsman.simulate.worlds.limiter import Limiter, duration
from pointsman.simulate.worlds.world import Key

KEY = Key("k", requests=60.0, tokens=6000.0)


def test_bucket_holds_ten_seconds_of_the_limit() -> None:
    limiter = Limiter(KEY)
    for _ in range(10):
        assert limiter.wait_s(10) == 0.0
        limiter.take(10)
    assert limiter.wait_s(10) == pytest.approx(1.0)
    limiter.refill(1.0, 1.0)
    assert limiter.wait_s(10) == 0.0


def test_bucket_of_a_low_limit_holds_one_request() -> None:
    limiter = Limiter(Key("k", requests=3.0, tokens=6000.0))
    assert limiter.wait_s(10) == 0.0
    limiter.take(10)
    assert limiter.wait_s(10) == pytest.approx(20.0)
    limiter.refill(20.0, 1.0)
    assert limiter.wait_s(10) == 0.0


def test_tokens_limit_too() -> None:
    limiter = Limiter(KEY)
    limiter.take(900)
    assert limiter.wait_s(300) == pytest.approx(2.0)  # 100 are left, and 100 come each second


def test_request_larger_than_the_bucket_waits_until_it_is_full() -> None:
    limiter = Limiter(KEY)
    assert limiter.wait_s(50_000) == 0.0
    limiter.take(50_000)
    assert limiter.wait_s(50_000) == pytest.approx(10.0)


def test_lower_limit_holds_at_once() -> None:
    limiter = Limiter(KEY)
    limiter.refill(0.0, 0.1)
    assert limiter.requests == pytest.approx(1.0)


def test_key_without_limits_has_no_headers() -> None:
    limiter = Limiter(Key("k"))
    assert limiter.wait_s(10**9) == 0.0
    assert limiter.headers("truthful", 0.0) == {}


def test_headers_tell_the_truth_or_lie_or_are_absent() -> None:
    limiter = Limiter(KEY)
    limiter.take(400)
    found = limiter.headers("truthful", 0.0)
    assert found[b"x-ratelimit-limit-requests"] == b"60"
    assert found[b"x-ratelimit-remaining-requests"] == b"9"
    assert found[b"x-ratelimit-remaining-tokens"] == b"600"
    assert found[b"x-ratelimit-reset-tokens"] == b"4s"
    assert limiter.headers("lying", 0.0)[b"x-ratelimit-remaining-tokens"] == b"6000"
    assert limiter.headers("absent", 0.0) == {}


def test_gateway_reads_the_headers_whatever_the_clock_of_the_provider() -> None:
    limiter = Limiter(KEY)
    limiter.take(900)
    for clock_s in (0.0, 3600.0):
        quota = PROVIDERS["openai"].quota(limiter.headers("truthful", 1.8e9, clock_s), 1.8e9)
        assert quota is not None
        assert quota.tokens is not None
        assert (quota.tokens.limit, quota.tokens.left) == (6000, 100)
        assert quota.tokens.full_s == pytest.approx(9.0, abs=1.0)


@pytest.mark.parametrize(("seconds", "text"), [(0.012, "12ms"), (3.5, "3.5s"), (360.0, "6m0s"), (61.0, "1m1s")])
def test_durations_are_written_as_by_openai(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@given(st.lists(st.tuples(st.floats(0.0, 5.0), st.integers(1, 900)), max_size=60))
def test_admitted_requests_never_exceed_limit_and_burst(steps: list[tuple[float, int]]) -> None:
    limiter, now, admitted, tokens = Limiter(KEY), 0.0, 0, 0
    for pause_s, need in steps:
        now += pause_s
        limiter.refill(now, 1.0)
        if limiter.wait_s(need) == 0.0:
            limiter.take(need)
            admitted, tokens = admitted + 1, tokens + need
    assert admitted <= 10 + now + 1e-6
    assert tokens <= 1000 + 100 * now + 1e-6
