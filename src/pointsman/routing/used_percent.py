"""The used percentage of limits, for rules that read `budget_used`, `tokens_used` and `requests_used`."""

from collections.abc import Iterable, Sequence

from pointsman.domain.limits import Limit, Metric
from pointsman.routing.view import View

MAX = "max"
"""The scope of all limits: the highest percentage of them counts."""


def limits_in(limits: Iterable[Limit], scope: str, metric: Metric) -> tuple[Limit, ...]:
    """Return the limits of a metric that a scope covers, of those that apply to a request. A scope is `max`, a level
    such as `virtual_key`, `team` or `customer`, or an owner such as `provider:openai`."""
    return tuple(limit for limit in limits if limit.metric == metric and scope in (MAX, limit.level, limit.owner))


def highest_percent(limits: Sequence[Limit], view: View, unix_s: float) -> float | None:
    """Return the highest used percentage of these limits at `unix_s`: 0 without a limit, and `None` if the used amount
    of one is unknown. It can be above 100, after an overrun or with a soft limit."""
    highest = 0.0
    for limit in limits:
        used = view.used(limit, unix_s)
        if used is None:
            return None
        percent = 100.0 * used / limit.amount if limit.amount else 100.0
        highest = max(highest, percent)
    return highest
