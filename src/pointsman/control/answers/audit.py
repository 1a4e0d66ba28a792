"""The audit log: calls that change nothing in the store, and the acceptance of a chain."""

from pointsman.control.inquiries.audit import AcceptChain, AuditOutcome, RecordCall
from pointsman.control.parts import Answers, ControlParts
from pointsman.control.store.database import StoreError


async def _record(inquiry: RecordCall, parts: ControlParts) -> list[AuditOutcome]:
    try:
        await parts.call.record(parts.ingest.store, inquiry.event)
    except StoreError as error:
        return [AuditOutcome(str(error))]
    return [AuditOutcome()]


async def _accept(_: AcceptChain, parts: ControlParts) -> list[AuditOutcome]:
    try:
        return [AuditOutcome(fault=await parts.audit.accept(parts.ingest.store, parts.actor))]
    except StoreError as error:
        return [AuditOutcome(str(error))]


ANSWERS: Answers = {RecordCall: _record, AcceptChain: _accept}
