"""What became of an attempt and of a request."""

from msgspec import Struct

from pointsman.domain.failures import Failure


class Usage(Struct, frozen=True):
    """Tokens of one answer, as the provider reported them. `cached` and `reasoning` are parts of the two sums."""

    tokens_in: int = 0
    tokens_out: int = 0
    tokens_cached: int = 0
    tokens_reasoning: int = 0


class Attempt(Struct, frozen=True):
    """One try at one provider. Times are monotonic seconds; `first_byte_at` is the head of the answer,
    `committed_at` the moment after which nothing else could be tried. `failure` is `None` for a success."""

    candidate: str
    provider: str
    model: str
    key: str
    started_at: float
    ended_at: float
    first_byte_at: float | None = None
    committed_at: float | None = None
    status: int | None = None
    failure: Failure | None = None
    usage: Usage | None = None
    bytes_in: int = 0
