"""The rate limits of one key at a provider: requests and tokens per minute, and the headers that report them.

Both are token buckets that hold ten seconds of the limit. A request is charged when it is admitted, with its prompt and
`ANSWER_TOKENS` for its answer, as providers do that count `max_tokens`. The headers are OpenAI's, see
https://platform.openai.com/docs/guides/rate-limits (`Rate limits in headers`).
"""

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
        self.requests = key.requests * BURST_S / 60
        self.tokens = key.tokens * BURST_S / 60
        self._at = 0.0

    def refill(self, now: float, factor: float) -> None:
        """Add the tokens since the last call. Limits that a fault lowered hold at once."""
        passed_s, self._at, self.factor = now - self._at, now, factor
        key = self._key
        per_s = key.requests * factor / 60
        self.requests = min(self.requests + passed_s * per_s, per_s * BURST_S)
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

    def headers(self, mode: Headers) -> tuple[tuple[str, str], ...]:
        """Return the headers of an answer. Lying ones report that nothing was used."""
        if mode == "absent" or self.is_unlimited:
            return ()
        key, found = self._key, list[tuple[str, str]]()
        for name, limit, left in (
            ("requests", key.requests * self.factor, self.requests),
            ("tokens", key.tokens * self.factor, self.tokens),
        ):
            if limit < inf:
                capacity = limit * BURST_S / 60
                shown = limit if mode == "lying" else max(left, 0.0)
                reset_s = 0.0 if mode == "lying" or limit <= 0 else max(capacity - left, 0.0) * 60 / limit
                found += [
                    (f"x-ratelimit-limit-{name}", f"{limit:.0f}"),
                    (f"x-ratelimit-remaining-{name}", f"{shown:.0f}"),
                    (f"x-ratelimit-reset-{name}", duration(reset_s)),
                ]
        return tuple(found)


def duration(seconds: float) -> str:
    """Return a duration as OpenAI's headers write it: `12ms`, `3.5s`, `6m0s`."""
    if seconds < 1:
        return f"{seconds * 1000:.0f}ms"
    minutes, rest = divmod(seconds, 60)
    return f"{int(minutes)}m{rest:.0f}s" if minutes else f"{rest:.3g}s"
