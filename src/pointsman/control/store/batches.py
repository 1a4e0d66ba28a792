"""The table of batches, and the settlement of one: its reservation becomes the cost of its lines.

A settlement is one transaction, so it happens once, whenever control ends. It corrects the counters of the windows in
which the batch was requested, the usage of its models, and the record of its request.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import bindparam, delete, literal_column, or_, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from pointsman.control.store.reconcile import RECONCILED, corrected, rejection_reason, settled
from pointsman.control.store.request_tally import RequestTally
from pointsman.control.store.statements import Statement
from pointsman.control.store.tables import BATCHES, REQUESTS, STATE, UNSETTLED, USAGE_KEYS, USAGE_SUMS, Row
from pointsman.domain.batches import MADE, SENT, SETTLED, VOID
from pointsman.domain.outcomes import Usage

MOST_OPEN = 10_000  # batches that the admin API shows
MOST_DUE = 1000  # batches that are read at once
_IS_OPEN = (SENT, MADE)
_OPEN = (
    select(
        BATCHES,
        (UNSETTLED.c.nano + UNSETTLED.c.held_nano).label("held_nano"),
        (UNSETTLED.c.state == RECONCILED).label("is_reconciled"),
        UNSETTLED.c.reconciled_nano,
        UNSETTLED.c.counters,
    )
    .select_from(BATCHES.outerjoin(UNSETTLED, UNSETTLED.c.attempt_id == BATCHES.c.attempt_id))
    .where(BATCHES.c.state.in_(_IS_OPEN))
)


class ModelCost(Struct, frozen=True):
    """The lines of a batch that one model served, their usage and their cost."""

    model: str
    lines: int
    failed: int
    usage: Usage
    nano: int


class Settlement(Struct, frozen=True):
    """The end of a batch. `status` is the provider's."""

    attempt_id: str
    status: str
    costs: tuple[ModelCost, ...]

    @property
    def nano(self) -> int:
        return sum(one.nano for one in self.costs)

    @property
    def tokens_in(self) -> int:
        return sum(one.usage.tokens_in for one in self.costs)

    @property
    def tokens_out(self) -> int:
        return sum(one.usage.tokens_out for one in self.costs)


class Settled(Struct, frozen=True):
    """The rows that a settlement adds, and the attempt that it is about. `reason` says why it cannot be settled yet."""

    reason: str | None = None
    row: Row | None = None
    counters: list[Row] = []
    usage: list[Row] = []
    tally: RequestTally | None = None


class BatchTable:
    """The statements of the table."""

    def __init__(self, engine: AsyncEngine, insert: Callable[[Any], Any]) -> None:
        made = insert(BATCHES)
        keys = list(BATCHES.primary_key)
        changes = {name: made.excluded[name] for name in ("state", "batch_id", "due_at")}
        only_sent = BATCHES.c.state == literal_column(f"'{SENT}'")  # a statement for many rows has no other values
        self._add = Statement(engine, made.on_conflict_do_update(index_elements=keys, set_=changes, where=only_sent))

    async def write(self, connection: AsyncConnection, rows: list[Row]) -> None:
        """Write what the journals say. A result replaces nothing but the state `sent`."""
        await self._add.run(connection, rows)

    @staticmethod
    def open() -> Any:
        """Select the batches that are not settled, the oldest first, with the amounts that limits hold for them."""
        return _OPEN.order_by(BATCHES.c.at).limit(MOST_OPEN)

    @staticmethod
    def due(now_unix_s: float, without: Sequence[str]) -> Any:
        """Select those that are due, the most overdue first, except at the providers in `without`."""
        found = _OPEN.where(BATCHES.c.due_at <= now_unix_s, BATCHES.c.provider.not_in(without))
        return found.order_by(BATCHES.c.due_at).limit(MOST_DUE)

    @staticmethod
    def open_attempts() -> Any:
        """Select the ids of the attempts that requested open batches."""
        return select(BATCHES.c.attempt_id).where(BATCHES.c.state.in_(_IS_OPEN))

    @staticmethod
    def renewed(older_than: float, now_unix_s: float) -> Any:
        """Note the use of objects that are open batches, if they were last used before."""
        made = select(BATCHES.c.batch_id, BATCHES.c.provider).where(BATCHES.c.state == MADE)
        is_open = tuple_(STATE.c.id, STATE.c.provider).in_(made)
        return update(STATE).where(STATE.c.at < older_than, is_open).values(at=now_unix_s)

    @staticmethod
    def note(attempt: str, **values: Any) -> Any:
        """Note columns of an open batch."""
        only_open = (BATCHES.c.attempt_id == attempt, BATCHES.c.state.in_(_IS_OPEN))
        return update(BATCHES).where(*only_open).values(**values)

    @staticmethod
    def found(attempt: str, batch_id: str) -> Any:
        """Note the id of a batch whose answer was lost."""
        only_sent = (BATCHES.c.attempt_id == attempt, BATCHES.c.state == SENT)
        return update(BATCHES).where(*only_sent).values(state=MADE, batch_id=batch_id)

    @staticmethod
    def expired(older_than: float) -> Any:
        """Delete the batches from before that are settled, or for whose attempt nothing was ever reserved."""
        reserved = select(UNSETTLED.c.attempt_id)
        over = or_(BATCHES.c.state.in_((VOID, SETTLED)), BATCHES.c.attempt_id.not_in(reserved))
        return delete(BATCHES).where(BATCHES.c.at < older_than, over)

    @staticmethod
    async def settle(connection: AsyncConnection, settlement: Settlement, now_unix_s: float) -> Settled:
        """Settle a batch, and return the rows to add. Those of a batch that is settled already are none."""
        attempt = settlement.attempt_id
        query = select(BATCHES).where(BATCHES.c.attempt_id == attempt).with_for_update()
        batch = (await connection.execute(query)).mappings().one_or_none()
        if batch is None or batch["state"] in (SETTLED, VOID):
            return Settled()
        query = select(UNSETTLED).where(UNSETTLED.c.attempt_id == attempt).with_for_update()
        found = (await connection.execute(query)).mappings().one_or_none()
        name = attempt.rpartition("-")[0]
        query = select(REQUESTS).where(REQUESTS.c.request_id == name).with_for_update()
        request = (await connection.execute(query)).mappings().one_or_none()
        ended = {"state": SETTLED, "status": settlement.status, "checked_at": now_unix_s, "problem": ""}
        done = BatchTable.note(attempt, **ended)
        row = dict(found) if found is not None else None
        is_over = request is not None or (row is not None and row["at"] < now_unix_s - 86_400)
        reason = rejection_reason(row, is_over=is_over)
        if reason is not None or row is None:
            return Settled(reason)
        row["tokens_used"] = settlement.tokens_in + settlement.tokens_out
        counters, usage = settled(row, settlement.nano)
        usage["nano"] = -row["nano"]  # the models have it
        tally: RequestTally | None = None
        if request is not None:
            changed, tally = _record(dict(request), row, settlement)
            await connection.execute(update(REQUESTS).where(REQUESTS.c.request_id == name).values(**changed))
        await connection.execute(done)
        values = {"id": attempt, "cost": settlement.nano, "now": now_unix_s, "tokens": row["tokens_used"]}
        await connection.execute(_RECONCILE, values)
        return Settled(None, row, counters, [usage, *(_usage(row, one) for one in settlement.costs)], tally)


_RECONCILE = (
    update(UNSETTLED)
    .where(UNSETTLED.c.attempt_id == bindparam("id"))
    .values(
        state=RECONCILED, reconciled_nano=bindparam("cost"), reconciled_at=bindparam("now"), held_nano=0,
        tokens=bindparam("tokens"), tokens_used=bindparam("tokens"),
    )
)  # fmt: skip


def _usage(row: Row, cost: ModelCost) -> Row:
    """Return the usage of a model, each line an attempt, in the hour of the request."""
    used = cost.usage
    sums = {
        "attempts": cost.lines,
        "failures": cost.failed,
        "tokens_in": used.tokens_in,
        "tokens_out": used.tokens_out,
        "tokens_cached": used.tokens_cached,
        "tokens_reasoning": used.tokens_reasoning,
        "nano": cost.nano,
    }
    keys = {name: row[name] for name in USAGE_KEYS} | {"model": cost.model}
    return keys | dict.fromkeys(USAGE_SUMS, 0) | sums


def _record(request: Row, row: Row, settlement: Settlement) -> tuple[Row, RequestTally]:
    """Return the changed columns of the request's row, and the increments of sums over requests."""
    tokens = {"tokens_in": settlement.tokens_in, "tokens_out": settlement.tokens_out}
    changed, tally = corrected(request, [(row, settlement.nano)], tokens)
    record = msgspec.json.decode(changed["record"])
    record |= tokens
    ordinal = int(row["attempt_id"].rpartition("-")[2])
    attempts = record.get("attempts", [])
    if 0 < ordinal <= len(attempts):
        attempts[ordinal - 1] |= tokens | {"usage_source": "provider"}
    return {**changed, "record": msgspec.json.encode(record)}, tally


def open_rows(rows: Sequence[Row]) -> list[Row]:
    """Return open batches as the admin API shows them."""
    return [
        {
            **{name: row[name] for name in ("attempt_id", "batch_id", "state", "at", "provider")},
            **{name: row[name] for name in ("virtual_key", "team", "status", "checked_at", "problem")},
            "held_nano": row["held_nano"] or 0,
            "limits": [counter for counter, *_ in json.loads(row["counters"] or "[]")],
        }
        for row in rows
    ]
