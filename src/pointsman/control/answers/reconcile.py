"""Costs that no provider reported."""

from pointsman.control.inquiries.reconcile import Reconcile, ReconcileOutcome
from pointsman.control.parts import Answers, ControlParts
from pointsman.control.store.database import StoreError


async def _reconcile(inquiry: Reconcile, parts: ControlParts) -> list[ReconcileOutcome]:
    try:
        return [ReconcileOutcome(await parts.ingest.reconcile(inquiry.amounts, parts.call))]
    except StoreError as error:
        return [ReconcileOutcome({}, str(error))]


ANSWERS: Answers = {Reconcile: _reconcile}
