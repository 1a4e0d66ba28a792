"""Limits of money, tokens and requests over fixed windows of time.

A limit counts in a counter, which is identified by its owner, its metric and its period. An edit of the amount keeps
the sum that was spent. Windows are fixed and never reopen. Money is in nano-dollars.
"""

from datetime import datetime, timedelta, timezone, tzinfo
from typing import Literal, get_args

from msgspec import Struct

from pointsman.domain.dollars import dollars

# The units that limits count: nano-dollars, tokens and requests.
Metric = Literal["usd", "tokens", "requests"]
_FIXED_S = {"minute": 60, "hour": 3600, "hours": 3600}


class Period(Struct, frozen=True):
    """The length of a window: a calendar unit, or `count` hours if `unit` is `hours`. Weeks begin on Monday. Calendar
    windows begin at midnight of `zone`, UTC if it is `None`; minutes and hours do not depend on it. Windows of several
    hours are counted from 1970-01-01T00:00Z."""

    unit: str
    count: int = 1
    zone: tzinfo | None = None

    @property
    def name(self) -> str:
        return self.unit if self.unit != "hours" else f"{self.count}h"

    def window(self, now_unix_s: float) -> tuple[int, int]:
        """Return the start (inclusive) and the end (exclusive) of the window around `now_unix_s`, in Unix seconds."""
        fixed_s = _FIXED_S.get(self.unit)
        if fixed_s is not None:
            length_s = fixed_s * self.count
            start = int(now_unix_s // length_s) * length_s
            return start, start + length_s
        zone = self.zone or timezone.utc  # noqa: UP017 -- the same on every version
        midnight = datetime.fromtimestamp(now_unix_s, zone).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
        first, following = _calendar(self.unit, midnight)
        return int(first.timestamp()), int(following.timestamp())


def _calendar(unit: str, midnight: datetime) -> tuple[datetime, datetime]:
    """Return the first moment of the unit around a day, and that of the next unit. This is wall-clock arithmetic: a day
    of 23 or 25 hours is a day."""
    if unit == "day":
        return midnight, midnight + timedelta(days=1)
    if unit == "week":
        monday = midnight - timedelta(days=midnight.weekday())
        return monday, monday + timedelta(days=7)
    months = {"month": 1, "quarter": 3, "year": 12}[unit]
    first_month = (midnight.month - 1) // months * months
    first = midnight.replace(month=first_month + 1, day=1)
    years, month = divmod(first_month + months, 12)
    return first, first.replace(year=first.year + years, month=month + 1)


# The owners of limits. An `entry` is the use of one provider by a virtual key. An `end_user` is a user that an
# application with a virtual key names. A `mirror` is the copies of the requests for a public name.
Level = Literal["customer", "team", "virtual_key", "entry", "provider", "end_user", "mirror"]
LEVELS: frozenset[str] = frozenset(get_args(Level))


class Limit(Struct, frozen=True, kw_only=True, eq=False):
    """One budget or rate limit. `owner` is its level and name, such as `team:research`, or `entry:notebook/openai`.
    `amount` is in units of its metric. A `soft` limit is counted and reported, but never rejects a request. A `paced`
    budget moves requests to cheaper candidates if it is being spent too fast. `then` names the model that requests
    without room fall to, if any; attempts at it do not count in this limit.

    Limits of a provider, and of a key's use of one, count each attempt as a request. All others count a request once,
    regardless of its attempts."""

    level: Level
    owner: str
    metric: Metric
    period: Period
    amount: int
    soft: bool = False
    paced: bool = False
    then: str = ""

    @property
    def counter(self) -> str:
        """The name of its counter."""
        return f"{self.owner}|{self.metric}|{self.period.name}"

    @property
    def counts_attempts(self) -> bool:
        return self.level in ("entry", "provider")

    def __str__(self) -> str:
        """Return the limit in words: `budget of $50 per day of virtual key notebook`."""
        kind, name = self.owner.split(":", 1)
        of = {"virtual_key": "virtual key", "entry": "virtual key and provider", "end_user": "end user"}.get(kind, kind)
        per = f"per {self.period.name}" if self.period.unit != "hours" else f"per {self.period.count} hours"
        if self.metric == "usd":
            return f"budget of {dollars(self.amount)} {per} of {of} {name}"
        return f"limit of {self.amount} {self.metric} {per} of {of} {name}"
