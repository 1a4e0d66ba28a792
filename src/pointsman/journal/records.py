"""The records of the journal, msgpack arrays with a tag in front.

Control derives spend from these records alone, so every charge is in them. A record is never changed; fields may be
added at the end, with a default. A field must keep the meaning that older versions know: a change of meaning needs a
new `FORMAT`.
"""

import msgspec
from msgspec import Struct

FORMAT = 1


class CounterRef(Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """A counter that a scope's attempts count in, with the fields needed to find the window of a moment. `zone` is a
    name of the tz database, empty for UTC."""

    counter: str
    metric: str  # of `Metric`
    unit: str
    count: int = 1
    zone: str = ""
    counts_attempts: bool = False


class ChargeScope(Struct, frozen=True, kw_only=True, array_like=True, tag=1, gc=False):
    """The owner and the provider of a charge, under a number that later records of the same segment use. Written once a
    segment."""

    number: int
    virtual_key: str | None
    team: str | None
    customer: str | None
    provider: str
    model: str
    variant: str | None
    price_version: str = ""  # older versions wrote it; nothing reads it
    counters: tuple[CounterRef, ...]


class Intent(Struct, frozen=True, array_like=True, tag=2, gc=False):
    """Written before bytes are sent to the provider. `at` is in Unix seconds and decides the windows. `nano` and
    `tokens` are the reserved upper bounds. The attempt's id is `request_id`, a dash and `ordinal`, which counts from 1.
    A counter that does not count attempts counts a request at ordinal 1."""

    scope: int
    request_id: str
    ordinal: int
    at: float
    nano: int
    tokens: int


class Outcome(Struct, frozen=True, array_like=True, tag=3, gc=False):
    """Written once for each intent, unless the worker died before. `nano` is the amount that budgets count, in the
    windows of the intent. `outcome` is `ok` or the code of the failure. `source` is a value of `UsageSource`; older
    versions wrote `counted` for `estimated`. `is_priced` is false if no price is known. `tokens` is the amount that
    limits of tokens count, -1 for the sum of input and output. It differs if no usage was reported, so that limits hold
    the whole reservation. `cost` is the known cost in nano-dollars, -1 for `nano`."""

    scope: int
    request_id: str
    ordinal: int
    at: float
    nano: int
    tokens_in: int
    tokens_out: int
    tokens_cached: int
    tokens_reasoning: int
    outcome: str
    source: str
    is_priced: bool = True
    tokens: int = -1
    cost: int = -1

    @property
    def cost_nano(self) -> int:
        return self.cost if self.cost >= 0 else self.nano

    @property
    def tokens_counted(self) -> int:
        return self.tokens if self.tokens >= 0 else self.tokens_in + self.tokens_out


class RequestDone(Struct, frozen=True, array_like=True, tag=4, gc=False):
    """A request and its decision, as in the request log: one JSON object."""

    record: bytes


class Kept(Struct, frozen=True, array_like=True, tag=5, gc=False):
    """Changes to objects that the scope's provider stores under its key `key`, for the scope's team or virtual key.
    `told` holds how (`domain.state`), kind and id of each. Written before the client sees the answer, so before the
    outcome of an attempt whose stream goes on."""

    scope: int
    request_id: str
    at: float
    key: str
    told: tuple[tuple[str, str, str], ...]


Record = ChargeScope | Intent | Outcome | RequestDone | Kept

ENCODER = msgspec.msgpack.Encoder()
DECODER = msgspec.msgpack.Decoder(Record)


def attempt_id(request_id: str, ordinal: int) -> str:
    return f"{request_id}-{ordinal}"


def amount(ref: CounterRef, ordinal: int, nano: int, tokens: int) -> int:
    """Return the amount that an attempt with these sums counts in a counter."""
    if ref.metric == "usd":
        return nano
    if ref.metric == "tokens":
        return tokens
    return 1 if ref.counts_attempts or ordinal == 1 else 0
