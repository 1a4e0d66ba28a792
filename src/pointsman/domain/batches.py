"""Batches: many requests in one file, which a provider carries out later, at a price of its own."""

import msgspec
from msgspec import Struct

from pointsman.domain.prices import Price

BATCH = "batch"
"""The service tier of a batch's requests, by which a `Price` has its rates."""

SENT, MADE, VOID, SETTLED = "sent", "made", "void", "settled"
"""The states of a batch: sent to its provider, which may have made it; made; never made; and settled."""


class ModelWork(Struct, frozen=True, array_like=True, gc=False):
    """The lines of a file for one model. `model` is the provider's own name. `tokens_in` and `tokens_out` are the most
    that all of them can use together. `fees_nano` is the most that they can cost beyond their tokens. `price` is set
    once a batch is requested."""

    model: str
    lines: int
    tokens_in: int
    tokens_out: int
    fees_nano: int = 0
    price: Price | None = None


class BatchWork(Struct, frozen=True, kw_only=True, gc=False):
    """The requests in the file of a batch. `endpoint` is their path, as the file has it. Unless the work `is_bounded`,
    some line sets no maximum for its answer. `names` are the models that clients requested in it, and `rights` those of
    the virtual key that its lines were checked under (`routing.model_rights`).

    `key` is the name of the provider key that a requested batch uses. Unless the batch `is_followed`, control cannot
    use that key. A batch that `is_marked` carries the id of its attempt at the provider."""

    endpoint: str
    models: tuple[ModelWork, ...]
    is_bounded: bool = True
    key: str = ""
    is_marked: bool = False
    is_followed: bool = True
    names: tuple[str, ...] = ()
    rights: str = ""

    @property
    def lines(self) -> int:
        return sum(one.lines for one in self.models)


def encode_work(work: BatchWork) -> str:
    """Return the work as text, for a record."""
    return msgspec.json.encode(work).decode()


def decode_work(text: str) -> BatchWork | None:
    """Read it back. The result is `None` if there is none, or if another version wrote it."""
    try:
        return _WORK.decode(text) if text else None
    except msgspec.DecodeError:
        return None


_WORK = msgspec.json.Decoder(BatchWork)
