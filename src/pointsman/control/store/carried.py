"""Spending before this gateway, in windows of limits. It counts as a correction, so no worker's journal has it."""

from collections.abc import Sequence
from contextlib import nullcontext

from msgspec import Struct
from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from pointsman.control.store.reconcile import NO_WORKER
from pointsman.control.store.store import Reconciliation, Store
from pointsman.control.store.tables import COUNTERS


class CarriedWindow(Struct, frozen=True):
    """Nano-dollars in a window. Times are Unix seconds."""

    counter: str
    start: int
    end: int
    nano: int


async def carry(
    store: Store, windows: Sequence[CarriedWindow], connection: AsyncConnection | None = None
) -> Reconciliation:
    """Add spending to windows, in the transaction of `connection` or in one of its own. Those that have a correction
    already are rejected, by counter. Raises `StoreError`."""
    async with nullcontext(connection) if connection is not None else store.transaction() as writing:
        query = select(COUNTERS.c.counter, COUNTERS.c.window_start).where(
            COUNTERS.c.epoch == NO_WORKER, COUNTERS.c.counter.in_([one.counter for one in windows])
        )
        present = {(row[0], row[1]) for row in await writing.execute(query)}
        new = [one for one in windows if (one.counter, one.start) not in present]
        rows = [
            {
                "counter": one.counter,
                "window_start": one.start,
                "window_end": one.end,
                "epoch": NO_WORKER,
                "posted": one.nano,
            }
            for one in new
        ]
        if rows:
            await writing.execute(insert(COUNTERS), rows)
    reason = "an amount was carried into this window before, or an attempt in it was reconciled"
    rejected = {one.counter: reason for one in windows if (one.counter, one.start) in present}
    return Reconciliation(rejected, [(one.counter, one.start, one.nano) for one in new])
