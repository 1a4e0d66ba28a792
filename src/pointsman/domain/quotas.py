"""A provider's own rate limits for a key, as its answers report them, and the amounts that a request takes of them."""

from msgspec import Struct


class Allowance(Struct, frozen=True, gc=False):
    """One limit, usually for a minute: the whole amount, the amount left, and the seconds until all of it is back.
    `full_s` is `None` if that time is unknown, or does not matter yet because most of the limit is left."""

    limit: int
    left: int
    full_s: float | None = None


class Quota(Struct, frozen=True, gc=False):
    """The limits that one answer reported. `tokens` counts prompts and answers together. A limit is `None` if it was
    not reported, or if the report makes no sense: it is unknown then, never exhausted."""

    requests: Allowance | None = None
    tokens: Allowance | None = None
    tokens_in: Allowance | None = None
    tokens_out: Allowance | None = None


class QuotaNeed(Struct, frozen=True, gc=False):
    """The expected amounts of one request, in tokens. `most_out` is its bound on the answer if it has one, since some
    providers count that, and `tokens_out` the expected length within it."""

    tokens_in: int = 0
    tokens_out: int = 0
    most_out: int = 0


NO_NEED = QuotaNeed()
