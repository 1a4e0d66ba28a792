"""A candidate is left out while one of the limits it would count in has nothing left.

Whether a request really fits is decided when its attempt reserves; this spares the attempt where the answer is known.
"""

from pointsman.domain.calls import Facts
from pointsman.domain.limits import Limit, Metric
from pointsman.domain.plans import Reason
from pointsman.domain.targets import Candidate
from pointsman.routing.view import View


def check(candidate: Candidate, facts: Facts, view: View, now: float) -> Reason | None:
    exhausted = view.exhausted
    if not exhausted:
        return None
    key = facts.virtual_key
    limits = candidate.endpoint.limits
    if key is not None:
        entry = key.entries.get(candidate.endpoint.name)
        limits = (*key.limits, *(entry.limits if entry is not None else ()), *limits)
    for limit in limits:
        found = exhausted.get(limit.counter)
        if found is not None and now < found.until:
            return over_limit(limit, "has nothing left", found.ends_at)
    return None


def over_limit(limit: Limit, said: str, ends_at: float | None) -> Reason:
    """The reason for a limit that a request does not fit in. `ends_at`, when its window ends, is in monotonic
    seconds; absent where the next window would have no room either."""
    code = "over_budget" if limit.metric is Metric.USD else "over_rate_limit"
    return Reason(code, f"the {limit} {said}", until=ends_at)
