"""Limits of simulated providers, and the headers that report them."""

from typing import Literal

import pytest
from msgspec.structs import replace

from fakes.clock import Clock
from pointsman.simulate.answers import Answer, Dialect
from pointsman.simulate.limits import Limiter, span
from pointsman.simulate.settings import RateLimits, Settings

ANSWER = Answer(body=b"{}", tokens_in=30, tokens_out=10)
Headers = Literal["truthful", "none", "ample", "exhausted", "unknown"]


class Scene:
    """A limiter under a clock that is moved by hand."""

    def __init__(self, limits: RateLimits) -> None:
        self.clock = Clock()
        self.limiter = Limiter(Settings(limits=limits), self.clock)

    def ask(self, key: str = "k", model: str = "m", dialect: Dialect = "openai") -> Answer:
        return self.limiter.limited(ANSWER, key, model, dialect)

    def statuses(self, count: int) -> list[int]:
        return [self.ask().status for _ in range(count)]


def test_requests_over_a_limit_are_rejected_until_it_refills() -> None:
    scene = Scene(RateLimits(requests=3))
    assert scene.statuses(5) == [200, 200, 200, 429, 429]
    assert scene.limiter.rejected == {"k": 2}
    scene.clock.now += 20
    assert scene.statuses(2) == [200, 429]


def test_tokens_are_taken_from_their_limits() -> None:
    scene = Scene(RateLimits(tokens=100))
    assert scene.statuses(3) == [200, 200, 429]
    scene = Scene(RateLimits(output_tokens=30, input_tokens=1000))
    assert scene.statuses(4) == [200, 200, 200, 429]


def test_request_larger_than_the_limit_needs_a_full_bucket() -> None:
    scene = Scene(RateLimits(tokens=20))
    assert scene.statuses(2) == [200, 429]


def test_keys_and_models_have_limits_of_their_own_unless_they_share_them() -> None:
    scene = Scene(RateLimits(requests=1))
    assert [scene.ask(*name).status for name in (("k", "m"), ("k", "n"), ("l", "m"), ("k", "m"))] == [200] * 3 + [429]
    scene = Scene(RateLimits(requests=1, is_shared=True))
    assert [scene.ask(*name).status for name in (("k", "m"), ("k", "n"))] == [200, 429]


def test_truthful_headers_in_both_dialects() -> None:
    scene = Scene(RateLimits(requests=60, tokens=6000, input_tokens=600))
    assert dict(scene.ask().headers) == {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "59",
        "x-ratelimit-reset-requests": "1s",
        "x-ratelimit-limit-tokens": "6000",
        "x-ratelimit-remaining-tokens": "5960",
        "x-ratelimit-reset-tokens": "400ms",
    }
    found = dict(scene.ask(dialect="anthropic").headers)
    assert found["anthropic-ratelimit-requests-remaining"] == "58"
    assert found["anthropic-ratelimit-input-tokens-remaining"] == "540"
    assert found["anthropic-ratelimit-input-tokens-reset"].endswith("Z")


def test_rejection_states_the_time_to_wait_unless_it_is_withheld() -> None:
    scene = Scene(RateLimits(requests=1))
    scene.ask()
    rejected = scene.ask()
    assert dict(rejected.headers)["retry-after-ms"] == "60000"
    assert b"try again in 1m0s" in rejected.body
    assert dict(scene.ask(dialect="anthropic").headers)["retry-after"] == "60"
    scene = Scene(RateLimits(requests=1, retry_after=False, headers="none"))
    scene.ask()
    rejected = scene.ask()
    assert rejected.headers == []
    assert b"try again" not in rejected.body


@pytest.mark.parametrize(("headers", "left"), [("ample", "10"), ("exhausted", "0"), ("unknown", "-1"), ("none", None)])
def test_headers_may_lie_or_be_absent(headers: Headers, left: str | None) -> None:
    scene = Scene(RateLimits(requests=10, headers=headers))
    scene.ask()
    assert dict(scene.ask().headers).get("x-ratelimit-remaining-requests") == left


def test_limits_can_change_while_the_provider_runs() -> None:
    scene = Scene(RateLimits(requests=1))
    assert scene.statuses(2) == [200, 429]
    scene.limiter.change(None)
    assert scene.statuses(2) == [200, 200]


def test_failed_answers_take_nothing() -> None:
    scene = Scene(RateLimits(requests=1))
    broken = replace(ANSWER, status=500)
    assert scene.limiter.limited(broken, "k", "m", "openai") is broken
    assert scene.ask().status == 200


@pytest.mark.parametrize(("seconds", "text"), [(0.012, "12ms"), (1.5, "1.5s"), (360.0, "6m0s"), (59.94, "59.94s")])
def test_spans_are_written_as_openai_does(seconds: float, text: str) -> None:
    assert span(seconds) == text
