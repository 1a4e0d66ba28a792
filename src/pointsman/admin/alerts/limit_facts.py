"""The facts of limits."""

from pointsman.alerting.subjects.limit import LimitFacts
from pointsman.control.inquiries.limits import LimitState
from pointsman.domain.dollars import NANO


def limit_facts(one: LimitState, now: float) -> LimitFacts | None:
    """Return the facts of a limit, `None` without an amount or an end."""
    if not one.limit or one.window_end is None:
        return None
    unit = NANO if one.metric == "usd" else 1
    length, passed = one.window_end - one.window_start, min(now, one.window_end) - one.window_start
    left = max(0, one.limit - one.posted)
    return LimitFacts(
        owner=one.owner,
        metric=one.metric,
        period=one.period,
        limit=one.limit / unit,
        used=one.posted / unit,
        used_percent=100 * one.posted / one.limit,
        is_soft=one.soft,
        elapsed_percent=100 * passed / length,
        window_left_s=max(0.0, one.window_end - now),
        runs_out_in_s=left * passed / one.posted if one.posted > 0 and passed > 0 else None,
        window_start=one.window_start,
        window_end=one.window_end,
    )
