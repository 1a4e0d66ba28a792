"""Spending before this gateway."""

from time import time

from pointsman.control.inquiries.carry import Carry, CarryOutcome
from pointsman.control.parts import Answers, ControlParts
from pointsman.control.store.carried import CarriedWindow
from pointsman.control.store.database import StoreError


async def _carry(inquiry: Carry, parts: ControlParts) -> list[CarryOutcome]:
    refused: dict[int, str] = {}
    windows: dict[int, CarriedWindow] = {}
    now = time()
    for number, one in enumerate(inquiry.amounts):
        limit = parts.lease_table.limits.get(f"{one.owner}|usd|{one.period}")
        if limit is None:
            refused[number] = f"{one.owner} has no budget per {one.period}"
        else:
            windows[number] = CarriedWindow(limit.counter, *limit.period.window(now), one.nano)
    try:
        rejected = await parts.ingest.reconcile(list(windows.values()), parts.call)
    except StoreError as error:
        return [CarryOutcome({}, str(error))]
    refused |= {number: rejected[one.counter] for number, one in windows.items() if one.counter in rejected}
    return [CarryOutcome(dict(sorted(refused.items())))]


ANSWERS: Answers = {Carry: _carry}
