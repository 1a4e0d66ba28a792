"""The headers by which providers report the rate limits of a key.

https://platform.openai.com/docs/guides/rate-limits#rate-limits-in-headers, which Groq, xAI and others copied, and
https://platform.claude.com/docs/en/api/rate-limits#response-headers.

A limit that is absent, not a positive number, or unreadable is unknown. Azure sends `-1` and `0` for limits that it
does not report. Every answer is read, so the time of a reset is only computed once half of a limit is used.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache

from msgspec import Struct

from pointsman.domain.http_date import http_unix_s
from pointsman.domain.messages import Headers
from pointsman.domain.quotas import Allowance, Quota
from pointsman.providers._openai_errors import MAX_WAIT_S, reset_s

MOST = 10**15  # of a limit: a larger one is a mistake

Reset = Callable[[bytes, Headers, float], float | None]


class _Names(Struct, frozen=True, gc=False):
    """The names of the headers for one limit."""

    left: bytes
    limit: bytes
    reset: bytes


def _of_openai(kind: str) -> _Names:
    end = f"-{kind}".rstrip("-").encode()
    return _Names(b"x-ratelimit-remaining" + end, b"x-ratelimit-limit" + end, b"x-ratelimit-reset" + end)


def _of_anthropic(name: bytes) -> _Names:
    name = b"anthropic-ratelimit-" + name
    return _Names(name + b"-remaining", name + b"-limit", name + b"-reset")


_MESSAGES, _SUM, _PROMPTS, _ANSWERS = map(_of_anthropic, (b"requests", b"tokens", b"input-tokens", b"output-tokens"))


def quota_of(*, requests: str = "requests", tokens: str = "tokens") -> Callable[[Headers, float], Quota | None]:
    """Return the reader of the limits in `x-ratelimit-*`, whose names end with the names of the two limits. It returns
    `None` if there are none. Resets are spans such as `6m0s` and `12ms`, or Unix times."""
    of_requests, of_tokens = _of_openai(requests), _of_openai(tokens)

    def read(headers: Headers, now_unix_s: float) -> Quota | None:
        found_requests = found_tokens = None
        if of_requests.left in headers:
            found_requests = _limit(of_requests, headers, now_unix_s, _span)
        if of_tokens.left in headers:
            found_tokens = _limit(of_tokens, headers, now_unix_s, _span)
        return None if found_requests is None and found_tokens is None else Quota(found_requests, found_tokens)

    return read


openai_quota = quota_of()


_TRIAL = _Names(b"x-trial-endpoint-call-remaining", b"x-trial-endpoint-call-limit", b"")


def cohere_quota(headers: Headers, now_unix_s: float) -> Quota | None:
    """Return the limit of requests of a trial key, per minute; `None` for other keys, which have no such headers.
    https://github.com/cohere-ai/cohere-typescript/issues/222"""
    if _TRIAL.left not in headers:
        return None
    found = _limit(_TRIAL, headers, now_unix_s, _span)
    return None if found is None else Quota(found)


def anthropic_quota(headers: Headers, now_unix_s: float) -> Quota | None:
    """Return the limits in `anthropic-ratelimit-*`; `None` if there are none. Resets are dates of RFC 3339."""
    requests = prompts = answers = both = None
    if _MESSAGES.left in headers:
        requests = _limit(_MESSAGES, headers, now_unix_s, _date)
    if _PROMPTS.left in headers:
        prompts = _limit(_PROMPTS, headers, now_unix_s, _date)
    if _ANSWERS.left in headers:
        answers = _limit(_ANSWERS, headers, now_unix_s, _date)
    if prompts is None and answers is None and _SUM.left in headers:
        both = _limit(_SUM, headers, now_unix_s, _date)  # it repeats one of the two, whichever is nearer to its end
    if requests is None and prompts is None and answers is None and both is None:
        return None
    return Quota(requests, both, prompts, answers)


def _limit(names: _Names, headers: Headers, now_unix_s: float, read: Reset) -> Allowance | None:
    try:
        limit, left = int(headers[names.limit]), int(headers[names.left])
    except (KeyError, ValueError):
        return None
    if not (0 < limit <= MOST and 0 <= left <= MOST):
        return None
    if 2 * left > limit or (reset := headers.get(names.reset)) is None:
        return Allowance(limit, left)
    full_s = read(reset, headers, now_unix_s)
    return Allowance(limit, left, full_s if full_s is not None and 0.0 <= full_s <= MAX_WAIT_S else None)


def _span(reset: bytes, headers: Headers, now_unix_s: float) -> float | None:
    return reset_s(reset.decode("latin-1").strip(), _sent_at(headers, now_unix_s) if len(reset) > 9 else now_unix_s)


def _date(reset: bytes, headers: Headers, now_unix_s: float) -> float | None:
    at = _unix_s(reset)
    # Both have whole seconds, so a reset within the second of the answer may seem to be over.
    return None if at is None else max(at - _sent_at(headers, now_unix_s), 0.0)


@lru_cache(maxsize=256)  # answers within a second often have the same dates
def _unix_s(date: bytes) -> float | None:
    """Return the time of a date of RFC 3339 in Unix seconds. One without a zone is in UTC."""
    try:
        found = datetime.fromisoformat(date.decode("latin-1").strip())
        return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def _sent_at(headers: Headers, now_unix_s: float) -> float:
    """Return the provider's own time of an answer in Unix seconds, since its clock may differ from ours."""
    date = headers.get(b"date")
    found = http_unix_s(date.decode("latin-1")) if date is not None else None
    return now_unix_s if found is None else found
