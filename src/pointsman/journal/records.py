"""The records of the journal: msgpack arrays that begin with a tag.

Control derives spending from these records alone, so every charge is in them. A new field goes to the end and has a
default. A field keeps its meaning: a change of meaning needs a new `FORMAT`.
"""

import msgspec
from msgspec import Struct

from pointsman.domain.limits import Limit

FORMAT = 1


class CounterRef(Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """A counter that counts a scope's attempts, with the fields that determine the window of a time. `zone` is a name
    of the tz database, empty for UTC."""

    counter: str
    metric: str  # a value of `Metric`
    unit: str
    count: int = 1
    zone: str = ""
    counts_attempts: bool = False


def counter_of(limit: Limit) -> CounterRef:
    """Return the counter of a limit."""
    period = limit.period
    zone = str(period.zone) if period.zone is not None else ""
    return CounterRef(
        counter=limit.counter,
        metric=limit.metric,
        unit=period.unit,
        count=period.count,
        zone=zone,
        counts_attempts=limit.counts_attempts,
    )


class ChargeScope(Struct, frozen=True, kw_only=True, array_like=True, tag=1, gc=False):
    """The owner and the provider of a charge. Later records of the same segment refer to it by `number`. Written once
    per segment."""

    number: int
    virtual_key: str | None
    team: str | None
    customer: str | None
    provider: str
    model: str
    variant: str | None
    price_version: str = ""  # unused; older versions wrote it
    counters: tuple[CounterRef, ...]


class Intent(Struct, frozen=True, array_like=True, tag=2, gc=False):
    """A reservation, written before bytes are sent to the provider. `at` is in Unix seconds and determines the windows.
    `nano` and `tokens` are the reserved upper bounds. The attempt's id is `request_id`, a dash and `ordinal`, which
    counts from 1. A counter that does not count attempts counts the request at ordinal 1."""

    scope: int
    request_id: str
    ordinal: int
    at: float
    nano: int
    tokens: int


class Outcome(Struct, frozen=True, array_like=True, tag=3, gc=False):
    """The result of an attempt, written once for each intent unless the worker died before. `outcome` is `ok` or the
    code of the failure. `source` is a value of `UsageSource`; older versions wrote `counted` for `estimated`.

    `nano` is the amount that budgets count, in the windows of the intent. `is_priced` is false if no price is known.
    `tokens` is the amount that token limits count, -1 for the sum of input and output. The amounts differ if no usage
    was reported, because limits then hold the whole reservation. `cost` is the known cost in nano-dollars, -1 for
    `nano`.
    """

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
        """The known cost in nano-dollars."""
        return self.cost if self.cost >= 0 else self.nano

    @property
    def tokens_counted(self) -> int:
        """The number of tokens that limits count."""
        return self.tokens if self.tokens >= 0 else self.tokens_in + self.tokens_out


class RequestDone(Struct, frozen=True, array_like=True, tag=4, gc=False):
    """A request and its decision, as in the request log: one JSON object."""

    record: bytes


class StateRecord(Struct, frozen=True, array_like=True, tag=5, gc=False):
    """Changes to objects that the scope's provider stores under its key `key`, for the scope's team or virtual key.
    `changes` are triples of change (`domain.state`), kind and id. Written before the client gets the response, and
    therefore before the outcome of an attempt whose stream continues."""

    scope: int
    request_id: str
    at: float
    key: str
    changes: tuple[tuple[str, str, str], ...]
    note: str = ""  # about the created objects among them


class BatchRecord(Struct, frozen=True, array_like=True, tag=6, gc=False):
    """An attempt that requests a batch. Written with the state `sent` before the intent, and with its result before the
    outcome: `made` with the provider's id, or `void`. Without a result, the provider may have made it. `work` is the
    work of its file (`domain.batches`), with the prices that hold for it and the name of the provider key."""

    scope: int
    request_id: str
    ordinal: int
    at: float
    state: str
    work: str
    batch_id: str = ""


Record = ChargeScope | Intent | Outcome | RequestDone | StateRecord | BatchRecord

ENCODER = msgspec.msgpack.Encoder()
DECODER = msgspec.msgpack.Decoder(Record)


def attempt_id(request_id: str, ordinal: int) -> str:
    """Return the id of an attempt."""
    return f"{request_id}-{ordinal}"


def amount(ref: CounterRef, ordinal: int, nano: int, tokens: int) -> int:
    """Return the amount that a counter counts for an attempt with these nano-dollars and tokens."""
    if ref.metric == "usd":
        return nano
    if ref.metric == "tokens":
        return tokens
    return 1 if ref.counts_attempts or ordinal == 1 else 0
