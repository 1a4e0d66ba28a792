"""Alerts and their messages in the store. Only control writes them; admin reads them."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
from sqlalchemy import and_, bindparam, delete, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from pointsman.alerting.api import Alert, AlertMessage
from pointsman.alerting.messages import only_about
from pointsman.control.store.alert_tables import ALERT_MESSAGES, ALERTS
from pointsman.control.store.store import Store
from pointsman.control.store.tables import Row

AT_ONCE = 300  # ids in one query
PRUNED = 5000  # rows at once

_ENCODER = msgspec.json.Encoder()
_ALERT = msgspec.json.Decoder(Alert)
_MESSAGE = msgspec.json.Decoder(AlertMessage)


class AlertQueries:
    """Queries. `rows` runs one and returns its rows; all raise what it raises."""

    def __init__(self, rows: Callable[[Any], Awaitable[list[Row]]]) -> None:
        self._rows = rows

    async def firing(self, limit: int, ended_after: float | None = None) -> list[Alert]:
        """Return the alerts that fire, and those that ended after a time, the newest first."""
        is_open: Any = ALERTS.c.ended_at.is_(None)
        if ended_after is not None:
            is_open = or_(is_open, ALERTS.c.ended_at > ended_after)
        query = select(ALERTS.c.content).where(is_open).order_by(ALERTS.c.fired_at.desc(), ALERTS.c.id)
        return [_ALERT.decode(row["content"]) for row in await self._rows(query.limit(limit))]

    async def past(self, limit: int, rule: str | None = None, before: Alert | None = None) -> list[Alert]:
        """Return all alerts, the newest first: those before another one in this order."""
        at, id_ = ALERTS.c.fired_at, ALERTS.c.id
        query = select(ALERTS.c.content).order_by(at.desc(), id_.desc()).limit(limit)
        if rule is not None:
            query = query.where(ALERTS.c.rule == rule)
        if before is not None:
            query = query.where(or_(at < before.fired_at, and_(at == before.fired_at, id_ < before.id)))
        return [_ALERT.decode(row["content"]) for row in await self._rows(query)]

    async def one(self, id_: str) -> Alert | None:
        rows = await self._rows(select(ALERTS.c.content).where(ALERTS.c.id == id_))
        return _ALERT.decode(rows[0]["content"]) if rows else None

    async def messages(self, channel: str, limit: int) -> list[AlertMessage]:
        """Return the messages that wait for their delivery to a channel, the oldest first."""
        table = ALERT_MESSAGES
        is_waiting: Any = table.c.ended_at.is_(None)
        query = select(table.c.content).where(is_waiting, table.c.channel == channel).order_by(table.c.at).limit(limit)
        return [_MESSAGE.decode(row["content"]) for row in await self._rows(query)]


class AlertTable:
    """Changes of alerts, a transaction each. Every method raises `StoreError`."""

    def __init__(self, store: Store) -> None:
        insert: Any = sqlite.insert if store.is_sqlite else postgresql.insert
        self._store = store
        self._insert_alerts = insert(ALERTS).on_conflict_do_nothing()
        self._insert_messages = insert(ALERT_MESSAGES).on_conflict_do_nothing()

    async def write(
        self, fired: Sequence[Alert], ended: Sequence[Alert], messages: Sequence[AlertMessage]
    ) -> list[AlertMessage]:
        """Write alerts that fired and ended, each change once and finally, with the messages about them. Return the
        messages about changes that were not known before."""
        async with self._store.transaction() as connection:
            known = await _ids(connection, [one.id for one in fired])
            new = {one.id: one for one in fired if one.id not in known}
            if new:
                await connection.execute(self._insert_alerts, [_alert_row(one) for one in new.values()])
            is_open: Any = ALERTS.c.ended_at.is_(None)
            over = await _ids(connection, [one.id for one in ended], is_open)
            changes = [
                {"of": one.id, "at": one.ended_at, "with": _ENCODER.encode(one)} for one in ended if one.id in over
            ]
            if changes:
                await connection.execute(_END, changes)
            kept = [only_about(one, over if one.event == "ended" else new) for one in messages]
            stored = [one for one in kept if one is not None]
            if stored:
                await connection.execute(self._insert_messages, [_message_row(one) for one in stored])
        return stored

    async def end_message(self, id_: str, at: float, outcome: str, problem: str) -> None:
        """Note the end of a message: `delivered`, `rejected` or `expired`."""
        values = {"ended_at": at, "outcome": outcome, "problem": problem}
        async with self._store.transaction() as connection:
            await connection.execute(update(ALERT_MESSAGES).where(ALERT_MESSAGES.c.id == id_).values(**values))

    async def prune(self, older_than: float) -> None:
        """Delete some of the alerts and messages that ended before."""
        async with self._store.transaction() as connection:
            for table in (ALERTS, ALERT_MESSAGES):
                ids = select(table.c.id).where(table.c.ended_at < older_than).limit(PRUNED)
                await connection.execute(delete(table).where(table.c.id.in_(ids)))


async def _ids(connection: AsyncConnection, ids: Sequence[str], *conditions: Any) -> set[str]:
    """Return those of these ids that alerts with these properties have."""
    found: set[str] = set()
    for first in range(0, len(ids), AT_ONCE):
        query = select(ALERTS.c.id).where(ALERTS.c.id.in_(ids[first : first + AT_ONCE]), *conditions)
        found.update((await connection.execute(query)).scalars())
    return found


def _alert_row(one: Alert) -> Row:
    return {
        "id": one.id,
        "rule": one.rule,
        "fired_at": one.fired_at,
        "ended_at": one.ended_at,
        "content": _ENCODER.encode(one),
    }


def _message_row(one: AlertMessage) -> Row:
    return {"id": one.id, "channel": one.channel, "at": one.at, "content": _ENCODER.encode(one)}


_END = update(ALERTS).where(ALERTS.c.id == bindparam("of")).values(ended_at=bindparam("at"), content=bindparam("with"))
