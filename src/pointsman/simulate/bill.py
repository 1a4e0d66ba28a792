"""The provider's own record of requests, work and charges: tests of money and cancellation compare the gateway with
it. It does not depend on anything that the gateway reports."""

from collections import Counter
from typing import Literal

from msgspec import Struct

from pointsman.simulate.settings import Billing, Price

Outcome = Literal["open", "complete", "cancelled", "failed"]
Phase = Literal["before_answer", "before_first_token", "mid_stream", "after_answer"]


class Entry(Struct, kw_only=True):
    """One complete request.

    Times are monotonic seconds. `tokens_out` is the number of tokens produced and charged; `tokens_sent` is the number
    written to the connection. Before the end, `tokens_out` is the length of the whole answer. `charged_nano` is in
    nano-dollars and includes `fees_nano` for tools. `outcome` is `cancelled` if the peer closed first, and `failed` if
    the provider sent no good answer. `phase` is the progress of the answer at that moment.
    """

    index: int
    method: str
    path: str
    key: str
    received_at: float
    request_id: str | None = None
    attempt_id: str | None = None
    model: str = ""
    stream: bool = False
    faults: dict[str, float] = {}
    status: int | None = None
    tokens_in: int = 0
    tokens_cached: int = 0
    tokens_cache_write: int = 0
    tokens_out: int = 0
    tokens_sent: int = 0
    fees_nano: int = 0
    charged_nano: int = 0
    outcome: Outcome = "open"
    phase: Phase = "before_answer"
    ended_at: float | None = None
    peer_closed_at: float | None = None


class Totals(Struct, kw_only=True):
    """Sums over entries. `rate_limited` counts those that got a 429."""

    requests: int = 0
    complete: int = 0
    cancelled: int = 0
    failed: int = 0
    rate_limited: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    charged_nano: int = 0


def charge_nano(price: Price, tokens_in: int, tokens_cached: int, tokens_out: int, tokens_cache_write: int = 0) -> int:
    """Return the nano-dollars for one call, rounded up once. `tokens_cached` and `tokens_cache_write` are included in
    `tokens_in`."""
    write_pico = price.input_pico if price.cache_write_pico is None else price.cache_write_pico
    pico = (
        (tokens_in - tokens_cached - tokens_cache_write) * price.input_pico
        + tokens_cache_write * write_pico
        + tokens_cached * price.cached_pico
        + tokens_out * price.output_pico
    )
    return -(-pico // 1000)


class Bill:
    """The entries in order of arrival."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def open(self, entry: Entry) -> None:
        """Record a request that has just arrived."""
        self.entries.append(entry)

    def close(self, entry: Entry, outcome: Outcome, billing: Billing, price: Price) -> None:
        """Settle an entry that already has its token counts. `billing` applies to any outcome other than `complete`."""
        entry.outcome = outcome
        if outcome != "complete" and billing != "full":
            entry.tokens_out = entry.tokens_sent
            if billing == "none":
                return
        tokens_nano = charge_nano(
            price, entry.tokens_in, entry.tokens_cached, entry.tokens_out, entry.tokens_cache_write
        )
        entry.charged_nano = tokens_nano + entry.fees_nano

    def clear(self) -> None:
        """Delete all entries. Requests in progress stay off the bill."""
        self.entries = []

    def totals(self) -> Totals:
        """Return sums over all closed entries; `requests` includes the open ones."""
        closed = [entry for entry in self.entries if entry.outcome != "open"]
        outcomes = Counter(entry.outcome for entry in closed)
        return Totals(
            requests=len(self.entries),
            complete=outcomes["complete"],
            cancelled=outcomes["cancelled"],
            failed=outcomes["failed"],
            rate_limited=sum(entry.status == 429 for entry in closed),
            tokens_in=sum(entry.tokens_in for entry in closed),
            tokens_out=sum(entry.tokens_out for entry in closed),
            charged_nano=sum(entry.charged_nano for entry in closed),
        )
