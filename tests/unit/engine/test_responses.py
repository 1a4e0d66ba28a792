"""The header lines of an answer: an allow-list for the provider's, and the gateway's own."""

import pytest

from fakes.routing import endpoint
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


def test_a_stream_is_not_to_be_kept_or_collected_on_its_way() -> None:
    headers = {b"content-type": b"text/plain", b"cache-control": b"max-age=60", b"openai-version": b"2020-10-01"}
    assert provider_lines(headers, is_stream=True) == (
        b"content-type: text/event-stream; charset=utf-8\r\n"
        b"cache-control: no-cache\r\n"
        b"x-accel-buffering: no\r\n"
        b"openai-version: 2020-10-01\r\n"
    )


def test_the_gateways_own_lines() -> None:
    served_by = candidate(endpoint("alpha"), "gpt-4o")
    assert answer_lines("id-1", served_by, 2, 0.0012345) == (
        b"x-request-id: id-1\r\n"
        b"x-pointsman-request-id: id-1\r\n"
        b"x-pointsman-provider: alpha\r\n"
        b"x-pointsman-model: gpt-4o\r\n"
        b"x-pointsman-attempts: 2\r\n"
        b"server-timing: gateway;dur=1.234\r\n"
    )


def test_without_an_attempt_there_is_nobody_to_name() -> None:
    assert answer_lines("id-2", None, 0, 0.5) == (
        b"x-request-id: id-2\r\nx-pointsman-request-id: id-2\r\nserver-timing: gateway;dur=500.000\r\n"
    )


def test_an_answer_that_was_shortened_says_to_what() -> None:
    lines = answer_lines("id-3", None, 0, 0.5, 2_000_000_000, 20)
    assert lines.endswith(b"x-pointsman-max-tokens: 20\r\nx-pointsman-cost-usd: 2\r\n")


def test_every_candidate_and_count_has_its_own_lines() -> None:
    one, other = candidate(endpoint("alpha"), "m"), candidate(endpoint("beta"), "m")
    lines = [answer_lines("id", item, count, 0) for item in (one, other) for count in (1, 2)]
    assert len(set(lines)) == 4
    assert answer_lines("id", one, 1, 0) == lines[0]


@pytest.mark.parametrize(
    "model",
    ["a\r\nset-cookie: x=1", "a\nb", "a\x00b", "tab\tname", "größe", "模型", "\ud800", "a\x7f", "\u2028", "a\x85b"],
)
def test_a_model_name_cannot_end_its_line(model: str) -> None:
    lines = answer_lines("id", candidate(endpoint("alpha"), model), 1, 0)
    value = lines.partition(b"x-pointsman-model: ")[2].partition(b"\r\n")[0]
    assert lines.count(b"\n") == lines.count(b"\r\n") == 6
    assert value.isascii()
    assert value.decode().isprintable()
