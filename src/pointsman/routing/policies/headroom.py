"""A candidate is left out while one of its limits is exhausted.

The reservation of an attempt decides whether a request really fits. This policy spares the attempt if the answer is
known.
"""

from pointsman.domain.identity import VirtualKey
from pointsman.domain.operations import Operation
from pointsman.domain.plans import Reason
from pointsman.domain.targets import Candidate
from pointsman.money.fit import over_limit
from pointsman.money.terms import limits_for
from pointsman.routing.view import Troubles


def live(item: Candidate, operation: Operation, key: VirtualKey | None, view: Troubles, now: float) -> Reason | None:
    if not view.exhausted:
        return None
    for limit in limits_for(key, item):
        found = view.exhausted.get(limit.counter)
        if found is not None and now < found.until:
            return over_limit(limit, "has nothing left", found.ends_at)
    return None
