"""A provider that keeps no responses is left out for requests that name stored ones, or ask to store one.

A provider that a request reaches by a translation keeps none either; the policy `translation` leaves it out.
"""

from collections.abc import Sequence

from pointsman.domain.calls import Facts
from pointsman.domain.targets import Candidate
from pointsman.domain.verdicts import Reason
from pointsman.routing.policies import Asker, Watch
from pointsman.routing.view import View
from pointsman.wire.dialects import DIALECTS


def check(item: Candidate, facts: Facts, view: View, now: float) -> Reason | None:
    call, endpoint = facts.call, item.endpoint
    stored = DIALECTS[call.head.dialect].stored
    if endpoint.keeps_responses or stored is None or call.head.dialect not in endpoint.dialects:
        return None
    needed = stored(call)
    if not needed:
        return None
    return Reason("not_expressible", f"{endpoint.name} keeps no responses, which {needed} requires")


def watch(candidates: Sequence[Candidate], asker: Asker) -> Watch | None:
    """Return a test for requests about stored objects, if some candidate keeps none."""
    if all(item.endpoint.keeps_responses for item in candidates):
        return None
    storing = frozenset(name for name, dialect in DIALECTS.items() if dialect.stored is not None)
    return lambda call: call.head.dialect in storing
