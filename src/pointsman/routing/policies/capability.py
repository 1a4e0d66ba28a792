"""A model that lacks a required capability is tried last: tools, a JSON schema, sight, hearing, reasoning.

It is not left out: if every model lacks the capability, the provider knows better than the catalog how to respond.
"""

from collections.abc import Sequence

from pointsman.domain.calls import Facts
from pointsman.domain.targets import Candidate
from pointsman.domain.verdicts import Reason
from pointsman.routing.policies import Asker, Watch
from pointsman.routing.view import View
from pointsman.wire.dialects import DIALECTS


def check(item: Candidate, facts: Facts, view: View, now: float) -> Reason | None:
    known = view.snapshot.pricing.catalog.find(item.endpoint.catalog, item.model)
    if known is None or not known.lacks:
        return None
    missing = DIALECTS[facts.call.head.dialect].needs(facts.call, known.lacks)
    if not missing:
        return None
    message = f"the request needs capabilities that {item.model} is not known to have: {', '.join(sorted(missing))}"
    return Reason("capability", message, is_last_resort=True)


def watch(candidates: Sequence[Candidate], asker: Asker) -> Watch | None:
    """Return a test for requests that need a capability which some models lack. If all lack it, none is preferred."""
    found = [asker.snapshot.pricing.catalog.find(item.endpoint.catalog, item.model) for item in candidates]
    lacks = [known.lacks if known is not None else frozenset[str]() for known in found]
    some = frozenset[str]().union(*lacks) - frozenset.intersection(*lacks) if lacks else frozenset[str]()
    return (lambda call: bool(DIALECTS[call.head.dialect].needs(call, some))) if some else None
