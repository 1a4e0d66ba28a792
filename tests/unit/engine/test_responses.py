"""The header lines of an answer: those of the provider on an allow-list, and the gateway's own."""

import pytest

from fakes.routing import endpoint
from pointsman.domain.dollars import dollars
from pointsman.domain.targets import candidate
from pointsman.engine.responses import answer_lines, provider_lines


def test_only_listed_headers_pass_in_their_order() -> None:
    headers = {
        b"set-cookie": b"session=1",
        b"content-type": b"audio/mpeg",
        b"x-ratelimit-remaining-requests": b"3",
        b"openai-organization": b"acme",
        b"cache-control": b"no-cache, no-store",
        b"content-length": b"5",
        b"transfer-encoding": b"chunked",
        b"x-request-id": b"req_1",
        b"server": b"cloudflare",
    }
    assert provider_lines(headers) == (b"content-type: audio/mpeg\r\ncache-control: no-cache, no-store\r\n")
    assert provider_lines({}) == b""


def test_stream_has_headers_against_caching_and_buffering() -> None:
    headers = {b"content-type": b"text/plain", b"cache-control": b"max-age=60", b"openai-version": b"2020-10-01"}
    assert provider_lines(headers, is_stream=True) == (
        b"content-type: text/event-stream; charset=utf-8\r\n"
        b"cache-control: no-cache\r\n"
        b"x-accel-buffering: no\r\n"
        b"openai-version: 2020-10-01\r\n"
    )


def test_answer_lines_name_provider_attempts_and_cost() -> None:
    served_by = candidate(endpoint("alpha"), "gpt-4o")
    assert answer_lines("id-1", served_by, 2, 0.0012345) == (
        b"x-request-id: id-1\r\n"
        b"x-pointsman-request-id: id-1\r\n"
        b"x-pointsman-provider: alpha\r\n"
        b"x-pointsman-model: gpt-4o\r\n"
        b"x-pointsman-attempts: 2\r\n"
        b"server-timing: gateway;dur=1.234\r\n"
    )


def test_answer_without_an_attempt_names_no_provider() -> None:
    assert answer_lines("id-2", None, 0, 0.5) == (
        b"x-request-id: id-2\r\nx-pointsman-request-id: id-2\r\nserver-timing: gateway;dur=500.000\r\n"
    )


def test_shortened_answer_has_its_maximum_in_a_header() -> None:
    lines = answer_lines("id-3", None, 0, 0.5, 2_000_000_000, 20)
    assert lines.endswith(b"x-pointsman-max-tokens: 20\r\nx-pointsman-cost-usd: 2\r\n")


@pytest.mark.parametrize("nano", [1, 10, 999_999_999, 1_000_000_000, 10_000_000_000, 1_230_000_000, 123_456_789_012])
def test_cost_is_written_as_elsewhere(nano: int) -> None:
    assert answer_lines("id-3", None, 0, 0.5, nano).endswith(
        f"x-pointsman-cost-usd: {dollars(nano, symbol='')}\r\n".encode()
    )


def test_answer_lines_differ_by_candidate_and_attempts() -> None:
    one, other = candidate(endpoint("alpha"), "m"), candidate(endpoint("beta"), "m")
    lines = [answer_lines("id", item, count, 0) for item in (one, other) for count in (1, 2)]
    assert len(set(lines)) == 4
    assert answer_lines("id", one, 1, 0) == lines[0]


@pytest.mark.parametrize(
    "model",
    ["a\r\nset-cookie: x=1", "a\nb", "a\x00b", "tab\tname", "größe", "模型", "\ud800", "a\x7f", "\u2028", "a\x85b"],
)
def test_model_name_cannot_end_its_header_line(model: str) -> None:
    lines = answer_lines("id", candidate(endpoint("alpha"), model), 1, 0)
    value = lines.partition(b"x-pointsman-model: ")[2].partition(b"\r\n")[0]
    assert lines.count(b"\n") == lines.count(b"\r\n") == 6
    assert value.isascii()
    assert value.decode().isprintable()
