"""A retry budget: a token bucket that fills with traffic, so that retries never multiply.

Every request earns `PER_REQUEST` tokens and a retry spends one. `FLOOR_PER_S` tokens per second allow retries at low
traffic. So at most a fifth of the traffic can be retries, regardless of how many requests fail at once.
"""

PER_REQUEST = 0.2
FLOOR_PER_S = 1.0
CAPACITY = 20.0


class RetryBudget:
    """A token bucket. `updated_at` is in monotonic seconds."""

    __slots__ = ("tokens", "updated_at")

    def __init__(self, tokens: float = 10.0, updated_at: float = 0.0) -> None:
        self.tokens = tokens
        self.updated_at = updated_at

    def earn(self) -> None:
        """Add the tokens of a request that arrived."""
        self.tokens += PER_REQUEST

    def has_token(self, now: float) -> bool:
        self.tokens = min(self.tokens + (now - self.updated_at) * FLOOR_PER_S, CAPACITY)
        self.updated_at = now
        return self.tokens >= 1.0

    def spend(self) -> None:
        """Spend the token of a retry."""
        self.tokens = max(self.tokens - 1.0, 0.0)
