"""The conditions of identities, compiled once for each snapshot, which keeps them."""

from collections.abc import Callable, Mapping

from pointsman.domain.callers import Claims
from pointsman.domain.snapshots import Snapshot
from pointsman.routing.conditions.programs import over_claims

CallerConditions = Mapping[str, Callable[[Claims], bool]]  # by the name of the identity

_KEPT = "caller_conditions"


def conditions_of(snapshot: Snapshot) -> CallerConditions:
    """Return the conditions of all identities. The first call compiles them, which takes milliseconds."""
    found: CallerConditions | None = snapshot.__dict__.get(_KEPT)
    if found is None:
        found = snapshot.__dict__[_KEPT] = {one.name: over_claims(one.when) for one in snapshot.identities}
    return found
