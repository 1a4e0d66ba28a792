"""The settings of alerts, and changes of alerts and of their messages."""

from time import time

from pointsman.control.alerts import MOST_KEYS, alert_settings
from pointsman.control.inquiries.alerts import (
    AlertInquiry,
    AlertOutcome,
    AlertSettings,
    EndAlertMessage,
    ExpiringKey,
    ExpiringKeys,
    ExpiringKeysInquiry,
    RecordAlerts,
)
from pointsman.control.parts import Answers, ControlParts
from pointsman.control.store.alerts import AlertTable
from pointsman.control.store.database import StoreError
from pointsman.control.store.tables import DAY_S


async def _settings(inquiry: AlertInquiry, parts: ControlParts) -> list[AlertSettings]:
    is_known = inquiry.digest == parts.configuration.digest
    return [] if is_known else [await alert_settings(parts.configuration.current)]


async def _keys(inquiry: ExpiringKeysInquiry, parts: ControlParts) -> list[ExpiringKeys]:
    store = parts.ingest.store
    if store is None:
        return []
    try:
        rows = await store.api_keys.expiring(inquiry.after, inquiry.before, MOST_KEYS)
    except StoreError:  # the keys are unknown now
        return []
    keys = [ExpiringKey(row["name"], row["team"], row["customer"], row["expires_at"]) for row in rows]
    return [ExpiringKeys(keys)]


async def _record(change: RecordAlerts, parts: ControlParts) -> list[AlertOutcome]:
    store = parts.ingest.store
    if store is None:
        return [AlertOutcome(problem=parts.ingest.state.problem or "the store is not open yet")]
    try:
        table = AlertTable(store)
        await table.prune(time() - change.keep_days * DAY_S)
        return [AlertOutcome(await table.write(change.fired, change.ended, change.messages))]
    except StoreError as error:
        return [AlertOutcome(problem=str(error))]


async def _end(message: EndAlertMessage, parts: ControlParts) -> list[AlertOutcome]:
    store = parts.ingest.store
    if store is None:
        return [AlertOutcome(problem=parts.ingest.state.problem or "the store is not open yet")]
    try:
        await AlertTable(store).end_message(message.id, message.at, message.outcome, message.problem)
    except StoreError as error:
        return [AlertOutcome(problem=str(error))]
    return [AlertOutcome()]


ANSWERS: Answers = {
    AlertInquiry: _settings,
    ExpiringKeysInquiry: _keys,
    RecordAlerts: _record,
    EndAlertMessage: _end,
}
