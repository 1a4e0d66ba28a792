"""The use of limits."""

from msgspec import Struct

from pointsman.domain.rights import ALL, AccessScope


class BudgetInquiry(Struct, frozen=True, tag="budgets"):
    """Answered by a `LimitState` for each window of one owner or all, including past windows, up to `most`. Only owners
    in the scope count."""

    owner: str | None
    past: bool
    most: int
    scope: AccessScope = ALL


class LimitInquiry(Struct, frozen=True, tag="limits"):
    """Answered by a `LimitState` for the present window of each limit in `limits_to_list`, up to `most`."""

    most: int


class ChangedLimitInquiry(Struct, frozen=True, tag="changed_limits"):
    """Answered by `ChangedLimits`, at least one. They have the windows that changed since the answer with this `mark`,
    if that was the last one, and otherwise all windows. Those that ended long ago are left out, and those of which less
    than `least_percent` is used."""

    mark: str
    least_percent: float


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


class ChangedLimits(Struct, frozen=True):
    """Limits in their windows. `mark` is for the next inquiry."""

    mark: str
    states: list[LimitState]
