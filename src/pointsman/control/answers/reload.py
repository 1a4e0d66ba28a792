"""The configuration file, read again."""

from pointsman.control.inquiries.reload import Reload, ReloadOutcome
from pointsman.control.parts import Answers, ControlParts
from pointsman.control.store.database import StoreError
from pointsman.domain.audit import AuditEvent


async def _reload(_: Reload, parts: ControlParts) -> list[ReloadOutcome]:
    # Without the store, a reload is possible: it may be the way to repair the gateway.
    is_taken, messages = await parts.configuration.reload()
    digest = parts.configuration.digest
    outcome = "done" if is_taken else "refused: config_refused"
    event = AuditEvent(action="reload", kind="configuration", name=digest, outcome=outcome, note="; ".join(messages))
    try:
        await parts.call.record(parts.ingest.store, event)
    except StoreError as error:
        messages = [*messages, f"the audit log does not have this call: {error}"]
    return [ReloadOutcome(is_taken, messages, digest)]


ANSWERS: Answers = {Reload: _reload}
