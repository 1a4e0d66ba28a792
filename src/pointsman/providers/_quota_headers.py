"""The headers by which providers report the rate limits of a key.

https://platform.openai.com/docs/guides/rate-limits#rate-limits-in-headers, which Groq, xAI and others copied, and
https://platform.claude.com/docs/en/api/rate-limits#response-headers.

A limit that is absent, not a positive number, or unreadable is unknown. Azure sends `-1` and `0` for limits that it
does not report. Every answer is read, so the time of a reset is only computed once half of a limit is used.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from pointsman.domain.messages import Headers
from pointsman.domain.quotas import Allowance, Quota
from pointsman.providers._openai_errors import MAX_WAIT_S, reset_s

MOST = 10**15  # of a limit: a larger one is a mistake

Reset = Callable[[bytes, Headers, float], float | None]


def openai_quota(headers: Headers, now_unix_s: float) -> Quota | None:
    """Return the limits in `x-ratelimit-*`; `None` if there are none. Resets are spans such as `6m0s` and `12ms`, or
    Unix times."""
    get = headers.get
    requests, tokens = get(b"x-ratelimit-remaining-requests"), get(b"x-ratelimit-remaining-tokens")
    if requests is None and tokens is None:
        return None
    of_requests = of_tokens = None
    if requests is not None and (limit := get(b"x-ratelimit-limit-requests")) is not None:
        of_requests = _allowance(limit, requests)
        if of_requests is not None and 2 * of_requests.left <= of_requests.limit:
            of_requests = _with_reset(of_requests, get(b"x-ratelimit-reset-requests"), headers, now_unix_s, _span)
    if tokens is not None and (limit := get(b"x-ratelimit-limit-tokens")) is not None:
        of_tokens = _allowance(limit, tokens)
        if of_tokens is not None and 2 * of_tokens.left <= of_tokens.limit:
            of_tokens = _with_reset(of_tokens, get(b"x-ratelimit-reset-tokens"), headers, now_unix_s, _span)
    return None if of_requests is None and of_tokens is None else Quota(of_requests, of_tokens)


def anthropic_quota(headers: Headers, now_unix_s: float) -> Quota | None:
    """Return the limits in `anthropic-ratelimit-*`; `None` if there are none. Resets are dates of RFC 3339."""
    get = headers.get
    requests = get(b"anthropic-ratelimit-requests-remaining")
    tokens_in = get(b"anthropic-ratelimit-input-tokens-remaining")
    tokens = get(b"anthropic-ratelimit-tokens-remaining")
    if requests is None and tokens_in is None and tokens is None:
        return None
    found = [
        _of_anthropic(b"requests", requests, headers, now_unix_s),
        None,
        _of_anthropic(b"input-tokens", tokens_in, headers, now_unix_s),
        _of_anthropic(b"output-tokens", get(b"anthropic-ratelimit-output-tokens-remaining"), headers, now_unix_s),
    ]
    if found[2] is None and found[3] is None:  # the sum repeats one of the two, whichever is nearer to its end
        found[1] = _of_anthropic(b"tokens", tokens, headers, now_unix_s)
    return Quota(*found) if any(found) else None


def _of_anthropic(name: bytes, left: bytes | None, headers: Headers, now_unix_s: float) -> Allowance | None:
    if left is None or (limit := headers.get(b"anthropic-ratelimit-%b-limit" % name)) is None:
        return None
    found = _allowance(limit, left)
    if found is None or 2 * found.left > found.limit:
        return found
    return _with_reset(found, headers.get(b"anthropic-ratelimit-%b-reset" % name), headers, now_unix_s, _date)


def _allowance(limit: bytes, left: bytes) -> Allowance | None:
    try:
        whole, rest = int(limit), int(left)
    except ValueError:
        return None
    return Allowance(whole, rest) if 0 < whole <= MOST and 0 <= rest <= MOST else None


def _with_reset(found: Allowance, reset: bytes | None, headers: Headers, now_unix_s: float, read: Reset) -> Allowance:
    full_s = read(reset, headers, now_unix_s) if reset is not None else None
    if full_s is None or not 0.0 <= full_s <= MAX_WAIT_S:
        return found
    return Allowance(found.limit, found.left, full_s)


def _span(reset: bytes, headers: Headers, now_unix_s: float) -> float | None:
    return reset_s(reset.decode("latin-1").strip(), _sent_at(headers, now_unix_s) if len(reset) > 9 else now_unix_s)


def _date(reset: bytes, headers: Headers, now_unix_s: float) -> float | None:
    try:
        at = datetime.fromisoformat(reset.decode("latin-1").strip())
    except ValueError:
        return None
    at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    # Both have whole seconds, so a reset within the second of the answer may seem to be over.
    return max(at.timestamp() - _sent_at(headers, now_unix_s), 0.0)


def _sent_at(headers: Headers, now_unix_s: float) -> float:
    """Return the provider's own time of an answer in Unix seconds, since its clock may differ from ours."""
    date = headers.get(b"date")
    if date is None:
        return now_unix_s
    try:
        found = parsedate_to_datetime(date.decode("latin-1"))
    except (ValueError, OverflowError):
        return now_unix_s
    return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).timestamp()
