"""The orders of operators."""

from pointsman.control.inquiries.holds import HoldOutcome, PlaceHold, ReleaseHold
from pointsman.control.parts import Answers, ControlParts
from pointsman.control.store.database import StoreError
from pointsman.domain.holds import problem_with


async def _place(inquiry: PlaceHold, parts: ControlParts) -> list[HoldOutcome]:
    problem = problem_with(inquiry.hold.name, parts.configuration.current.snapshot)
    if problem is not None:
        return [HoldOutcome(problem, "not_found")]
    try:
        if not await parts.lease_server.holds.place(inquiry.hold):
            return [HoldOutcome("there are too many holds already; release some of them", "too_many_holds")]
    except StoreError as error:
        return [HoldOutcome(str(error))]
    parts.events.publish("hold", {"name": inquiry.hold.name, "effect": inquiry.hold.effect})
    return [HoldOutcome()]


async def _release(inquiry: ReleaseHold, parts: ControlParts) -> list[HoldOutcome]:
    try:
        if not await parts.lease_server.holds.release(inquiry.name):
            return [HoldOutcome(f"there is no hold on {inquiry.name!r}", "not_found")]
    except StoreError as error:
        return [HoldOutcome(str(error))]
    parts.events.publish("release", {"name": inquiry.name})
    return [HoldOutcome()]


ANSWERS: Answers = {PlaceHold: _place, ReleaseHold: _release}
