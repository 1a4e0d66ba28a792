"""Decisions on requests that are not sent."""

from msgspec import Struct

from pointsman.control.explanations import explain
from pointsman.control.inquiries.explain import Explained, ExplainInquiry
from pointsman.control.parts import Answers, ControlParts
from pointsman.domain.limits import Limit
from pointsman.money.leases import LeaseTable


class _PostedAmounts(Struct, frozen=True):
    """The stored used amounts of limits at control, without the spending of the last moment."""

    leases: LeaseTable

    def used(self, limit: Limit, unix_s: float) -> int | None:
        return self.leases.spent_in((limit.counter, limit.period.window(unix_s)[0])).posted


async def _explain(inquiry: ExplainInquiry, parts: ControlParts) -> list[Explained]:
    snapshot, holds = parts.configuration.current.snapshot, parts.lease_server.holds.present() or ()
    amounts = _PostedAmounts(parts.lease_table)
    return [await explain(inquiry.question, snapshot, parts.ingest.store, amounts, holds=holds)]


ANSWERS: Answers = {ExplainInquiry: _explain}
