"""Rate limits in the heads of answers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.domain.messages import Headers
from pointsman.domain.quotas import Allowance, Quota
from pointsman.providers import PROVIDERS
from pointsman.providers._quota_headers import anthropic_quota, openai_quota

UNIX_S = 1_700_000_000.0


def openai(limit: str, left: str, reset: str | None = None, kind: str = "requests", **more: str) -> Headers:
    found = {f"x-ratelimit-limit-{kind}": limit, f"x-ratelimit-remaining-{kind}": left, **more}
    if reset is not None:
        found[f"x-ratelimit-reset-{kind}"] = reset
    return {name.encode(): value.encode() for name, value in found.items()}


def anthropic(kind: str, limit: str, left: str, reset: str | None = None) -> dict[bytes, bytes]:
    found = {"limit": limit, "remaining": left} | ({"reset": reset} if reset is not None else {})
    return {f"anthropic-ratelimit-{kind}-{name}".encode(): value.encode() for name, value in found.items()}


@pytest.mark.parametrize(
    ("reset", "seconds"),
    [("6m0s", 360.0), ("12ms", 0.012), ("1.5s", 1.5), ("1h2m3s", 3723.0), ("7", 7.0), ("", None), ("soon", None)],
)
def test_openai_resets_are_spans(reset: str, seconds: float | None) -> None:
    assert openai_quota(openai("100", "5", reset), UNIX_S) == Quota(Allowance(100, 5, seconds))


def test_openai_reset_at_a_unix_time_is_compared_with_the_providers_clock() -> None:
    headers = openai("100", "5", "1700000060", date="Tue, 14 Nov 2023 22:13:30 GMT")  # ten seconds ahead of ours
    assert openai_quota(headers, UNIX_S) == Quota(requests=Allowance(100, 5, 50.0))


def test_requests_and_tokens_are_read_together() -> None:
    headers = {**openai("100", "99"), **openai("30000", "1200", "58s", kind="tokens")}
    assert openai_quota(headers, UNIX_S) == Quota(Allowance(100, 99), Allowance(30000, 1200, 58.0))


def test_reset_of_an_ample_limit_is_not_read() -> None:
    assert openai_quota(openai("100", "51", "6m0s"), UNIX_S) == Quota(Allowance(100, 51))


@pytest.mark.parametrize(
    ("limit", "left"),
    [("0", "-1"), ("-1", "0"), ("100", "-1"), ("many", "5"), ("100", ""), ("100", "5, 6"), ("0", "0")],
)
def test_senseless_limit_is_unknown(limit: str, left: str) -> None:
    assert openai_quota(openai(limit, left), UNIX_S) is None
    assert anthropic_quota(anthropic("requests", limit, left), UNIX_S) is None


def test_answer_without_limits_reports_none() -> None:
    headers = {b"content-type": b"application/json", b"retry-after": b"5"}
    assert openai_quota(headers, UNIX_S) is None
    assert anthropic_quota(headers, UNIX_S) is None


def test_anthropic_limits_are_read_by_kind() -> None:
    headers = {
        **anthropic("requests", "50", "49"),
        **anthropic("input-tokens", "30000", "1000", "2023-11-14T22:14:20Z"),
        **anthropic("output-tokens", "8000", "8000"),
        **anthropic("tokens", "38000", "9000", "2023-11-14T22:14:20Z"),
    }
    assert anthropic_quota(headers, UNIX_S) == Quota(
        Allowance(50, 49), None, Allowance(30000, 1000, 60.0), Allowance(8000, 8000)
    )


def test_anthropic_sum_is_read_if_its_parts_are_absent() -> None:
    headers = anthropic("tokens", "38000", "9000", "2023-11-14T22:14:20+00:00")
    assert anthropic_quota(headers, UNIX_S) == Quota(tokens=Allowance(38000, 9000, 60.0))


def test_anthropic_reset_is_compared_with_the_providers_clock() -> None:
    headers = anthropic("requests", "50", "0", "2023-11-14T23:13:50Z")
    skewed = {**headers, b"date": b"Tue, 14 Nov 2023 23:13:20 GMT"}  # an hour ahead of ours
    assert anthropic_quota(skewed, UNIX_S) == Quota(Allowance(50, 0, 30.0))
    assert anthropic_quota({**headers, b"date": b"today"}, UNIX_S) == Quota(Allowance(50, 0, 3630.0))


@pytest.mark.parametrize("reset", ["tomorrow", "", "2023-13-40T00:00:00Z"])
def test_unreadable_date_of_a_reset_is_unknown(reset: str) -> None:
    assert anthropic_quota(anthropic("requests", "50", "0", reset), UNIX_S) == Quota(Allowance(50, 0))


@given(
    st.dictionaries(
        st.sampled_from(sorted(openai("", "", "", date="") | anthropic("requests", "", "", ""))), st.binary(max_size=30)
    )
)
def test_no_header_makes_an_error_or_a_negative_amount(headers: dict[bytes, bytes]) -> None:
    for read in (openai_quota, anthropic_quota):
        found = read(headers, UNIX_S)
        if found is not None and found.requests is not None:
            assert found.requests.limit > 0
            assert found.requests.left >= 0
            assert found.requests.full_s is None or found.requests.full_s >= 0


def test_each_provider_reads_the_headers_of_its_dialect() -> None:
    assert PROVIDERS["anthropic"].quota is anthropic_quota
    assert PROVIDERS["groq"].quota is openai_quota


@pytest.mark.parametrize(
    ("provider", "requests", "tokens"),
    [("mistral", "req-minute", "tokens-minute"), ("cerebras", "requests-day", "tokens-minute")],
)
def test_windows_in_the_names_of_headers_are_read(provider: str, requests: str, tokens: str) -> None:
    read, other = PROVIDERS[provider].quota, openai("7", "1", "1s")
    headers = {**openai("60", "59", kind=requests), **openai("50000", "1200", "33.5", kind=tokens)}
    assert read({**headers, **other}, UNIX_S) == Quota(Allowance(60, 59), Allowance(50000, 1200, 33.5))
    assert read(other, UNIX_S) is None


def test_headers_without_a_kind_count_requests() -> None:
    headers = {b"x-ratelimit-limit": b"200", b"x-ratelimit-remaining": b"3", b"x-ratelimit-reset": b"2"}
    assert PROVIDERS["moonshot"].quota(headers, UNIX_S) == Quota(Allowance(200, 3, 2.0))
