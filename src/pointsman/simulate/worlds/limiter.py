"""The rate limits of one key at a provider: requests and tokens per minute, and the headers that report them.

Both are token buckets that hold ten seconds of the limit. A request is charged when it is admitted, with its prompt and
`ANSWER_TOKENS` for its answer, as providers do that count `max_tokens`. The headers are OpenAI's, see
https://platform.openai.com/docs/guides/rate-limits (`Rate limits in headers`). If the clock of the provider is wrong,
it reports its resets as Unix times, with its own date.
"""

from email.utils import formatdate
from math import inf

from pointsman.simulate.worlds.world import Headers, Key

BURST_S = 10.0
ANSWER_TOKENS = 256


class Limiter:
    """The buckets of one key. `factor` scales its limits during a fault."""

    __slots__ = ("_at", "_key", "factor", "is_unlimited", "requests", "tokens")

    def __init__(self, key: Key) -> None:
        self._key = key
        self.is_unlimited = key.requests == inf and key.tokens == inf
        self.factor = 1.0
        self.requests = _requests(key.requests / 60)
        self.tokens = key.tokens * BURST_S / 60
        self._at = 0.0

    def refill(self, now: float, factor: float) -> None:
        """Add the tokens since the last call. Limits that a fault lowered hold at once."""
        passed_s, self._at, self.factor = now - self._at, now, factor
        key = self._key
        per_s = key.requests * factor / 60
        self.requests = min(self.requests + passed_s * per_s, _requests(per_s))
        per_s = key.tokens * factor / 60
        self.tokens = min(self.tokens + passed_s * per_s, per_s * BURST_S)

    def wait_s(self, need: int) -> float:
        """Return the time until a request for so many tokens is admitted; 0 if it is now. The limits of a request are
        those of the last `refill`. A request that is larger than a full bucket waits until it is full."""
        if self.is_unlimited:
            return 0.0
        key, wait_s = self._key, 0.0
        per_s = key.requests * self.factor / 60
        if self.requests < 1.0:
            wait_s = (1.0 - self.requests) / per_s if per_s > 0 else inf
        per_s = key.tokens * self.factor / 60
        need = int(min(need, per_s * BURST_S)) if per_s < inf else need
        if self.tokens < need:
            wait_s = max(wait_s, (need - self.tokens) / per_s if per_s > 0 else inf)
        return wait_s

    def take(self, need: int) -> None:
        """Charge an admitted request."""
        self.requests -= 1.0
        self.tokens = max(self.tokens - need, 0.0)

    def headers(self, mode: Headers, unix_s: float, clock_s: float = 0.0) -> dict[bytes, bytes]:
        """Return the headers of an answer. Lying ones report that nothing was used. The clock of the provider is
        `clock_s` ahead of the Unix time."""
        if mode == "absent" or self.is_unlimited:
            return {}
        found: dict[bytes, bytes] = {}
        key, shares = self._key, 60 / BURST_S
        for name, limit, left in (
            (b"requests", key.requests * self.factor, self.requests),
            (b"tokens", key.tokens * self.factor, self.tokens),
        ):
            if limit == inf:
                continue
            shown, reset_s = max(left, 0.0), 0.0
            if mode == "lying":
                shown = key.requests if name == b"requests" else key.tokens
            elif limit > 0:
                reset_s = max(limit / shares - left, 0.0) * 60 / limit
            reset = duration(reset_s) if not clock_s else f"{unix_s + clock_s + reset_s:.3f}"
            found[b"x-ratelimit-limit-%b" % name] = b"%d" % limit
            found[b"x-ratelimit-remaining-%b" % name] = b"%d" % shown
            found[b"x-ratelimit-reset-%b" % name] = reset.encode()
        if clock_s:
            found[b"date"] = formatdate(unix_s + clock_s, usegmt=True).encode()
        return found


def _requests(per_s: float) -> float:
    """Return the size of a bucket of requests. However low its limit, it holds one, or it would never admit any."""
    return max(per_s * BURST_S, 1.0) if per_s > 0 else 0.0


def duration(seconds: float) -> str:
    """Return a duration as OpenAI's headers write it: `12ms`, `3.5s`, `6m0s`."""
    if seconds < 1:
        return f"{seconds * 1000:.0f}ms"
    minutes, rest = divmod(seconds, 60)
    return f"{int(minutes)}m{rest:.0f}s" if minutes else f"{rest:.3g}s"
