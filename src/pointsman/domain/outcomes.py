"""What became of an attempt and of a request."""

from enum import Enum

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


class UsageSource(Enum):
    """How the cost of an attempt is known. The value is what logs, the journal and the store say."""

    PROVIDER = "provider"  # the provider reported its tokens
    ESTIMATED = "estimated"  # the provider reported nothing: prompt and answer were estimated
    RESERVED = "reserved"  # nothing can be estimated, so the reservation is charged
    NONE = "none"  # nothing was served

    __hash__ = object.__hash__


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
