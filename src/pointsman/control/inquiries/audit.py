"""The audit log: calls that change nothing in the store, and the acceptance of a chain."""

from msgspec import Struct

from pointsman.domain.audit import AuditEvent


class RecordCall(Struct, frozen=True, tag="record_call"):
    """Record a call. Answered by one `AuditOutcome`."""

    event: AuditEvent


class AcceptChain(Struct, frozen=True, tag="accept_chain"):
    """Anchor the audit log as it is. Answered by one `AuditOutcome` with the `fault` that there was."""


class AuditOutcome(Struct, frozen=True):
    """The end of an order. `problem` is the reason if it was not done."""

    problem: str = ""
    fault: str = ""
