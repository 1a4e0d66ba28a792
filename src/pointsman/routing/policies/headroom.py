"""A candidate is left out while one of its limits is exhausted.

The reservation of an attempt decides whether a request really fits. This policy spares the attempt if the answer is
known.
"""

from pointsman.domain.identity import VirtualKey
from pointsman.domain.operations import Operation
from pointsman.domain.targets import Candidate
from pointsman.domain.verdicts import Reason
from pointsman.money.fit import moment, over_limit
from pointsman.money.terms import limits_for
from pointsman.routing.view import PresentFaults

READS = "exhausted"


def live(
    item: Candidate, operation: Operation, key: VirtualKey | None, view: PresentFaults, now: float
) -> Reason | None:
    spent = [found for limit in limits_for(key, item) if (found := view.exhausted.get(limit.counter)) is not None]
    spent = [found for found in spent if now < found.until]
    if not spent:
        return None
    last = max(spent, key=lambda found: found.ends_at)
    problem = f"has nothing left until {moment(last.resets_at)}"
    return over_limit(last.limit, problem, last.ends_at, [found.limit for found in spent])
