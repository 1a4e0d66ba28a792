"""What became of an attempt and of a request."""

from typing import Literal

from msgspec import Struct

from pointsman.domain.failures import Failure


class Usage(Struct, frozen=True, gc=False):
    """Tokens of one answer, as the provider reported them. All but the first two are parts of the two sums:
    `tokens_cached`, `tokens_cache_write`, `tokens_cache_write_1h`, `audio_in` and `image_in` of what went in,
    `tokens_reasoning`, `audio_out` and `image_out` of what came out. `tier` is the service tier of the answer.
    `tools` are the calls of tools that the provider ran itself, by name; `None` where it does not tell."""

    tokens_in: int = 0
    tokens_out: int = 0
    tokens_cached: int = 0
    tokens_reasoning: int = 0
    tokens_cache_write: int = 0
    tokens_cache_write_1h: int = 0
    audio_in: int = 0
    audio_out: int = 0
    image_in: int = 0
    image_out: int = 0
    tier: str | None = None
    tools: tuple[tuple[str, int], ...] | None = None


UsageSource = Literal["provider", "estimated", "reserved", "none"]
"""How the cost of an attempt is known: the provider reported its tokens; it reported nothing, so prompt and answer were
estimated; nothing can be estimated, so the reservation is charged; or nothing was served."""


class PastAttempt(Struct, frozen=True):
    """One try at one provider, as far as it decides on the next. Times are monotonic seconds. `failure` is `None` for a
    success."""

    candidate: str
    provider: str
    model: str
    key: str
    started_at: float
    ended_at: float
    failure: Failure | None = None
