"""The orders of operators."""

from pointsman.config.snapshot_file import Compiled
from pointsman.control.answers.names import is_configured
from pointsman.control.inquiries.holds import HoldOutcome, PlaceHold, ReleaseHold
from pointsman.control.parts import Answers, ControlParts
from pointsman.control.store.database import StoreError
from pointsman.domain.holds import Hold, owner_in, problem_with


async def _place(inquiry: PlaceHold, parts: ControlParts) -> list[HoldOutcome]:
    problem = _problem_with(inquiry.hold, parts.configuration.current)
    if problem is not None:
        return [HoldOutcome(problem, "not_found")]
    try:
        if not await parts.lease_server.holds.place(inquiry.hold, parts.call):
            return [HoldOutcome("there are too many holds already; release some of them", "too_many_holds")]
    except StoreError as error:
        return [HoldOutcome(str(error))]
    parts.events.publish("hold", {"name": inquiry.hold.name, "effect": inquiry.hold.effect})
    return [HoldOutcome()]


def _problem_with(hold: Hold, compiled: Compiled) -> str | None:
    """Return why nothing has the name of a hold, or `None`."""
    owner = owner_in(hold.name)
    if owner is None:
        return problem_with(hold.name, compiled.snapshot)
    level, _, name = owner.partition(":")
    if not is_configured(compiled, level, name):
        return f"there is no {level.replace('_', ' ')} {name!r}"
    return "only a provider, a model or a provider key can be forced into use" if hold.effect == "in" else None


async def _release(inquiry: ReleaseHold, parts: ControlParts) -> list[HoldOutcome]:
    try:
        if not await parts.lease_server.holds.release(inquiry.name, parts.call):
            return [HoldOutcome(f"there is no hold on {inquiry.name!r}", "not_found")]
    except StoreError as error:
        return [HoldOutcome(str(error))]
    parts.events.publish("release", {"name": inquiry.name})
    return [HoldOutcome()]


ANSWERS: Answers = {PlaceHold: _place, ReleaseHold: _release}
