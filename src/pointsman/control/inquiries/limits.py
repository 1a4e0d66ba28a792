"""The use of limits."""

from msgspec import Struct


class BudgetInquiry(Struct, frozen=True, tag="budgets"):
    """Answered by a `LimitState` for each window of one owner or all, including past windows, up to `most`."""

    owner: str | None
    past: bool
    most: int


class LimitInquiry(Struct, frozen=True, tag="limits"):
    """Answered by a `LimitState` for the present window of each limit in `limits_to_list`, up to `most`."""

    most: int


class LimitState(Struct, frozen=True, kw_only=True):
    """One limit in one window. Amounts are nano-dollars, tokens or requests, depending on `metric`. `posted` is known
    spending. `lent` is leased to workers: reserved, spent but not ingested yet, or idle. `limit` is absent if it is no
    longer configured; a `soft` one rejects nothing. Times are Unix seconds."""

    owner: str
    metric: str
    period: str
    window_start: int
    window_end: int | None
    limit: int | None
    soft: bool
    posted: int
    lent: int
