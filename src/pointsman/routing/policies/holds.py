"""A provider, a target or a key that an operator holds out of use gets no request at all."""

from math import inf

from pointsman.domain.holds import Held
from pointsman.domain.identity import VirtualKey
from pointsman.domain.operations import Operation
from pointsman.domain.targets import Candidate
from pointsman.domain.verdicts import Reason
from pointsman.routing.view import PresentFaults

READS = "holds"


def live(
    item: Candidate, operation: Operation, key: VirtualKey | None, view: PresentFaults, now: float
) -> Reason | None:
    for name in (item.id, item.endpoint.name):  # an order about the target outranks one about its provider
        found = view.holds.get(name)
        if found is not None and now < found.until:
            return _reason(found) if found.hold.effect == "out" else None
    keys = [view.holds.get(f"{item.endpoint.name}:{one.name}") for one in item.keys]
    held = [one for one in keys if one is not None and one.hold.effect == "out" and now < one.until]
    return _reason(min(held, key=lambda one: one.until)) if held and len(held) == len(keys) else None


def _reason(held: Held) -> Reason:
    return Reason("held", held.hold.describe(), until=held.until if held.until < inf else None)
