"""A candidate without a key that meets every requirement is left out. `routing.compliance` has removed its keys."""

from pointsman.domain.targets import Candidate
from pointsman.domain.verdicts import Reason
from pointsman.routing.compliance import shortcomings
from pointsman.routing.policies import Asker


def static(item: Candidate, asker: Asker) -> Reason | None:
    if item.keys or not item.require:
        return None
    lacks = shortcomings(item, asker.key, asker.unix_s)
    return Reason("no_compliant_provider", f"it lacks {lacks}") if lacks else None
