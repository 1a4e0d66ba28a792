"""What became of an attempt and of a request."""

from msgspec import Struct

from pointsman.domain.failures import Failure


class Usage(Struct, frozen=True, gc=False):
    """Tokens of one answer, as the provider reported them. `cached` and `reasoning` are parts of the two sums."""

    tokens_in: int = 0
    tokens_out: int = 0
    tokens_cached: int = 0
    tokens_reasoning: int = 0


class Attempt(Struct, frozen=True):
    """One try at one provider, as far as it decides on the next. Times are monotonic seconds. `failure` is `None` for a
    success."""

    candidate: str
    provider: str
    model: str
    key: str
    started_at: float
    ended_at: float
    failure: Failure | None = None
