"""A retry budget: a token bucket that fills with traffic, so that retries never multiply.

Every request earns `PER_REQUEST` tokens and a retry spends one. `FLOOR_PER_S` tokens per second allow retries at low
traffic. So at most a fifth of the traffic can be retries, regardless of how many requests fail at once.
"""

PER_REQUEST = 0.2
FLOOR_PER_S = 1.0
CAPACITY = 20.0


class RetryBudget:
    """A token bucket. `updated_at` is in monotonic seconds, and `used_at` is the last attempt at its provider."""

    __slots__ = ("_capacity", "_floor_per_s", "_per_request", "tokens", "updated_at", "used_at")

    def __init__(
        self,
        tokens: float = 10.0,
        updated_at: float = 0.0,
        *,
        per_request: float = PER_REQUEST,
        floor_per_s: float = FLOOR_PER_S,
        capacity: float = CAPACITY,
    ) -> None:
        self.tokens = tokens
        self.updated_at = self.used_at = updated_at
        self._per_request = per_request
        self._floor_per_s = floor_per_s
        self._capacity = capacity

    def earn(self) -> None:
        """Add the tokens of a request that arrived."""
        self.tokens += self._per_request

    def has_token(self, now: float) -> bool:
        self.tokens = min(self.tokens + (now - self.updated_at) * self._floor_per_s, self._capacity)
        self.updated_at = now
        return self.tokens >= 1.0

    def spend(self) -> None:
        """Spend the token of a retry."""
        self.tokens = max(self.tokens - 1.0, 0.0)
