"""The limits of a simulated provider for each key: buckets that refill steadily, and the headers that report them.

https://platform.openai.com/docs/guides/rate-limits and https://platform.claude.com/docs/en/api/rate-limits
"""

from collections.abc import Callable
from datetime import UTC, datetime
from math import ceil
from time import monotonic, time

from msgspec import Struct
from msgspec.structs import replace

from pointsman.simulate.answers import Answer, Dialect, error
from pointsman.simulate.anthropic_errors import anthropic_error
from pointsman.simulate.gemini_errors import google_error, rate_limited
from pointsman.simulate.settings import RateLimits, Settings

_OPENAI = {"requests": "requests", "tokens": "tokens"}
_ANTHROPIC = {
    "requests": "requests", "tokens": "tokens", "input_tokens": "input-tokens", "output_tokens": "output-tokens"
}  # fmt: skip
Header = tuple[str, str]


class _Bucket(Struct):
    """One limit: the amount `left` at the monotonic time `at`."""

    limit: int
    rate: float
    most: float
    left: float
    at: float

    def fill(self, now: float) -> None:
        self.left = min(self.most, self.left + (now - self.at) * self.rate)
        self.at = now


class Limiter:
    """The limits of all keys. `rejected` counts the requests over a limit, by key."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = monotonic) -> None:
        self.limits, self.key_limits = settings.limits, settings.key_limits
        self.rejected: dict[str, int] = {}
        self._skew_s = settings.clock_skew_s
        self._clock = clock
        self._buckets: dict[tuple[str, str], dict[str, _Bucket]] = {}

    def change(self, limits: RateLimits | None) -> None:
        """Replace the limits of all keys. All buckets are full again."""
        self.limits, self.key_limits = limits, {}
        self._buckets.clear()

    def limited(self, answer: Answer, key: str, model: str, dialect: Dialect) -> Answer:
        """Return the answer with the headers of its key's limits, or the 429 for a request that exceeds one. Tokens are
        taken when a request arrives; a rejected request takes nothing."""
        limits = self.key_limits.get(key, self.limits)
        if limits is None or answer.status >= 400:
            return answer
        now = self._clock()
        buckets = self._of(limits, key, "" if limits.is_shared else model, now)
        amounts = {
            "requests": 1,
            "tokens": answer.tokens_in + answer.tokens_out,
            "input_tokens": answer.tokens_in,
            "output_tokens": answer.tokens_out,
        }
        wait_s, exceeded = 0.0, ""
        for name, bucket in buckets.items():
            bucket.fill(now)
            # A request that is larger than the limit is served from a full bucket.
            missing = min(amounts[name], bucket.most) - bucket.left
            if missing > 1e-9 and missing / bucket.rate >= wait_s:
                wait_s, exceeded = missing / bucket.rate, name
        if not exceeded:
            for name, bucket in buckets.items():
                bucket.left -= amounts[name]
            return replace(answer, headers=[*answer.headers, *self._report(limits, buckets, dialect)], is_limited=True)
        self.rejected[key] = self.rejected.get(key, 0) + 1
        rejected = _rejection(limits, buckets[exceeded], exceeded, wait_s, dialect)
        return replace(rejected, headers=[*rejected.headers, *self._report(limits, buckets, dialect)], is_limited=True)

    def _of(self, limits: RateLimits, key: str, model: str, now: float) -> dict[str, _Bucket]:
        found = self._buckets.get((key, model))
        if found is None:
            amounts = {name: getattr(limits, name) for name in _ANTHROPIC}
            found = self._buckets[key, model] = {
                name: _Bucket(
                    amount, amount / limits.window_s, most=amount * limits.burst, left=amount * limits.burst, at=now
                )
                for name, amount in amounts.items()
                if amount is not None
            }
        return found

    def _report(self, limits: RateLimits, buckets: dict[str, _Bucket], dialect: Dialect) -> list[Header]:
        """Return the headers of all limits that the dialect reports."""
        found: list[Header] = []
        if limits.headers == "none" or dialect == "gemini":
            return found
        is_anthropic = dialect == "anthropic"
        for name, shown in (_ANTHROPIC if is_anthropic else _OPENAI).items():
            if name not in buckets:
                continue
            bucket = buckets[name]
            limit, left = bucket.limit, int(max(bucket.left, 0.0))
            full_s = (bucket.most - bucket.left) / bucket.rate
            if limits.headers == "ample":
                left, full_s = limit, 0.0
            elif limits.headers == "exhausted":
                left, full_s = 0, limits.window_s
            elif limits.headers == "unknown":
                limit, left = 0, -1
            if is_anthropic:
                reset = datetime.fromtimestamp(ceil(time() + self._skew_s + full_s), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
                prefix = f"anthropic-ratelimit-{shown}"
                found += [
                    (f"{prefix}-limit", f"{limit}"),
                    (f"{prefix}-remaining", f"{left}"),
                    (f"{prefix}-reset", reset),
                ]
            else:
                found += [
                    (f"x-ratelimit-limit-{shown}", f"{limit}"),
                    (f"x-ratelimit-remaining-{shown}", f"{left}"),
                    (f"x-ratelimit-reset-{shown}", span(full_s)),
                ]
        return found


def span(seconds: float) -> str:
    """Return a time as OpenAI writes it, such as `6m0s`, `1.5s` or `12ms`."""
    if seconds < 1.0:
        return f"{seconds * 1000:.0f}ms"
    minutes, rest = divmod(seconds, 60.0)
    return f"{int(minutes)}m{rest:.3g}s" if minutes else f"{rest:.4g}s"


def _rejection(limits: RateLimits, bucket: _Bucket, name: str, wait_s: float, dialect: Dialect) -> Answer:
    if dialect == "anthropic":
        message = f"This request would exceed your organization's rate limit of {bucket.limit} {name} per minute."
        answer = anthropic_error(429, message)
    elif dialect == "gemini":
        return rate_limited(wait_s) if limits.retry_after else google_error(429)
    else:
        message = f"Rate limit reached for {name} per min: Limit {bucket.limit}."
        hint = f" Please try again in {span(wait_s)}." if limits.retry_after else ""
        answer = error(429, message + hint, name, code="rate_limit_exceeded")
    if not limits.retry_after:
        return answer
    headers = [("retry-after", f"{ceil(wait_s)}")]
    if dialect != "anthropic":
        headers.append(("retry-after-ms", f"{ceil(wait_s * 1000)}"))
    return replace(answer, headers=headers)
