"""Outcomes of attempts: their usage and their failures."""

from typing import Literal

from msgspec import Struct

from pointsman.domain.failures import Failure
from pointsman.domain.units import Units


class Usage(Struct, frozen=True, gc=False):
    """Tokens of one answer, as the provider reported them. All but the first two are parts of the two sums.
    `tokens_cached`, `tokens_cache_write`, `tokens_cache_write_1h`, `audio_in` and `image_in` are parts of the input.
    `tokens_reasoning`, `audio_out` and `image_out` are parts of the output. `tier` is the service tier of the answer.
    `tools` counts the calls of tools that the provider ran itself, by name; `None` if it does not report them. `units`
    are those beside tokens, such as images."""

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
    units: Units | None = None


UsageSource = Literal["provider", "request", "estimated", "reserved", "none", "batch"]
"""The source of an attempt's cost. The provider reported its usage, or the request itself shows all that is charged, as
the characters of a text to be spoken. Otherwise prompt and answer were estimated. If no estimate is possible, the
reservation is charged. If nothing was served, there is no charge. A batch is charged when it has ended."""


class PastAttempt(Struct, frozen=True):
    """One attempt at one provider, as far as it affects the next. Times are monotonic seconds. `failure` is `None` for
    a success."""

    candidate: str
    provider: str
    model: str
    key: str
    started_at: float
    ended_at: float
    failure: Failure | None = None
