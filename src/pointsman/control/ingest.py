"""Ingests the workers' journals into the store, exactly once, and updates the lease table.

The position in a journal is committed together with the rows derived from it. If the store fails, reading pauses and
resumes at the store's position. If a damaged log lost the store's last commits, the same records are read again. So a
segment is deleted only once its content is safe from that.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from pathlib import Path
from time import monotonic, time

from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncConnection

from pointsman.control.accounting import Accounting, OpenRequests
from pointsman.control.audit_log import AuditedCall
from pointsman.control.row_by_row import RowByRow, quarantined
from pointsman.control.store.batches import Settlement
from pointsman.control.store.carried import CarriedWindow, carry
from pointsman.control.store.database import RejectedError, StoreError
from pointsman.control.store.ownership import BEAT_S, InUseError
from pointsman.control.store.reconcile import NO_WORKER
from pointsman.control.store.store import JournalState, Reconciliation, Store
from pointsman.control.store.tables import Row
from pointsman.control.variants import Splits
from pointsman.domain.audit import AuditEvent, difference
from pointsman.domain.leases import LeaseUnavailable, Share
from pointsman.journal.reader import JournalReader, Position, SegmentError, discover
from pointsman.money.leases import LeaseTable
from pointsman.money.leases import Row as Spending

IDLE_S = 0.25  # between checks of unchanged journals
PAUSE_S = 0.5  # after a commit, so that the next has many records: each then costs far less
MAX_RECORDS = 300  # read without a pause, since reading delays the answers to workers
MAX_BATCH = 6000  # records of one journal in one transaction
RESTORED_AT_ONCE = 2000  # rows of counters, at the start, for the same reason
CHECKPOINT_S = 5.0
OPEN_S = 1.0  # a store that takes longer at the start counts as unreachable
RETRY_S = (0.1, 0.2, 0.5, 1.0)

_AWAY = LeaseUnavailable("the store cannot be reached")
_TAKEN = LeaseUnavailable("the store is in use by another gateway")
QUARANTINE = "quarantine.jsonl"  # in the data folder: records that the store rejected
NOT_READ = JournalState(Position(), Position())

_logger = logging.getLogger(__name__)


class _Journal:
    """One journal that is being read. `position` is its position in the store and in the lease table."""

    def __init__(self, reader: JournalReader) -> None:
        self.reader = reader
        self.position = Position()
        self.requests = OpenRequests()
        self.is_retired = False
        self.is_damaged = False  # some of it was unreadable; the rest was ingested
        self.is_unreadable = False  # of a newer version: logged once, and left alone


class IngestState(Struct, kw_only=True):
    """The state of ingestion. `problem` is `None` while the store works. `damage` counts faults in journals. `rejected`
    counts the records in quarantine, which the store rejected."""

    problem: str | None = None
    commits: int = 0
    records: int = 0
    damage: int = 0
    rejected: int = 0
    caught_up_at: float = 0.0  # Unix seconds when the backlog was last empty


class Ingest:
    """Reads all journals of a machine. `open_store` is retried until it works. `on_retired` gets the shares that a dead
    worker left to others. A store that `is_shared` may be in use by another gateway."""

    def __init__(
        self,
        journals: Path,
        lease_table: LeaseTable,
        open_store: Callable[[], Awaitable[Store]],
        on_retired: Callable[[list[tuple[int, Share]]], None],
    ) -> None:
        self.state = IngestState(problem="the store is not open yet")
        self.store: Store | None = None
        self.is_ready = asyncio.Event()  # the lease table has all spending
        self.has_read = asyncio.Event()  # all journals were read to their end once
        self.is_tried = asyncio.Event()  # the lease table is ready, or the store is out of reach
        self._folder = journals
        self._quarantine = journals.with_name(QUARANTINE)
        self._lease_table = lease_table
        self._open_store = open_store
        self.on_open: list[Callable[[Store], Awaitable[None]]] = []  # they raise `StoreError`
        self._on_retired = on_retired
        self._journals: dict[str, _Journal] = {}
        self._states: dict[str, JournalState] = {}
        self.is_shared = False
        self.splits: Splits = {}  # the public names whose targets are counted
        self._is_announced = False  # `on_open` was called for the present store
        self._is_taken = False
        self._is_restored = False
        self._has_unread_spending = True  # a dead worker's journal has spending that was not read yet
        self._must_rewind = True
        self._gathered = 0  # records in the last batch
        self._single_commits = 0  # records to commit one by one, after the store rejected a batch of so many
        self._failures = 0
        self._beat_at = self._checkpoint_at = 0.0
        self._is_changed = False  # the store has commits that no checkpoint has made safe yet
        self._stopping = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()

    async def run(self) -> None:
        """Read until `finish`. Never cancel it: that could leave a transaction open and the store locked."""
        slow = asyncio.get_running_loop().call_later(OPEN_S, self._store_is_slow)
        while not self._stopping.is_set():
            commits = self.state.commits
            is_end = await self.step()
            if self.state.problem is not None:
                await self._pause(RETRY_S[min(self._failures, len(RETRY_S)) - 1])
            elif is_end:
                await self._pause(PAUSE_S if self.state.commits != commits else IDLE_S)
        slow.cancel()

    async def finish(self, within_s: float) -> None:
        """End `run`, and read all journals to their end if the store permits."""
        self._stopping.set()
        ends_at = monotonic() + within_s
        while monotonic() < ends_at:
            if await self.step() and self.state.problem is None:
                break
            await asyncio.sleep(0.02)
        async with self._one_at_a_time:
            if self.store is not None:
                await self.store.close()

    async def _pause(self, for_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(for_s):
                await self._stopping.wait()

    async def step(self) -> bool:
        """Ingest one batch. Return whether nothing is left to read for now."""
        async with self._one_at_a_time:
            return await self._one_step()

    async def _one_step(self) -> bool:
        try:
            if self.store is None:
                self.store = await self._open_store()
                self._is_announced = False
            for on_open in () if self._is_announced else self.on_open:
                await on_open(self.store)
            self._is_announced = True
            if self._must_rewind:
                await self._rewind(self.store)
            is_end = await self._step(self.store)
            await self._clean_up(self.store)
        except RejectedError as error:
            _logger.warning("control retries a batch record by record, because the store rejected it: %s", error)
            self._single_commits = self._gathered
            self._must_rewind = True
            return False
        except InUseError as error:
            await self._lost(str(error))
            return True
        except StoreError as error:
            if self.state.problem is None or self._failures == 0:
                _logger.error("the store is unavailable; spending stays in the journals: %s", error)  # noqa: TRY400
            await self._failed(str(error))
            return True
        except Exception as error:  # a fault of ours too must not end ingestion for good
            _logger.exception("ingestion failed; spending stays in the journals")
            await self._failed(f"ingestion failed: {error}")
            return True
        except BaseException:  # also a cancellation
            self._must_rewind = True  # the records read are in no committed batch
            raise
        if self.state.problem is not None:
            if self._failures:
                _logger.warning("the store works again")
            self.state.problem = None
            self._failures = 0
        if not self._has_unread_spending:
            self.is_ready.set()
            self.is_tried.set()
        elif not self.is_ready.is_set():
            self.is_tried.clear()
        return is_end

    def _store_is_slow(self) -> None:
        if not self._is_restored:
            self.is_tried.set()

    @property
    def unable(self) -> LeaseUnavailable:
        """The reason why control cannot grant leases."""
        return _TAKEN if self._is_taken else _AWAY

    async def _lost(self, problem: str) -> None:
        """Stop, since another gateway owns the store. If this one gets it back, it reads the spending again."""
        if self.state.problem != problem and self._failures == 0:
            _logger.critical("%s. Until then control grants no leases, and spending stays in the journals", problem)
        self.is_ready.clear()
        self._is_taken = True
        self._is_restored = False
        await self._failed(problem)
        if self.store is not None:
            await self.store.close()
            self.store = None

    async def _failed(self, problem: str) -> None:
        self.state.problem = problem
        self._failures += 1
        self._must_rewind = True
        self.is_tried.set()
        if self.store is not None:
            await self.store.reconnect()

    def backlog_bytes(self) -> int:
        """Return the size of the backlog in bytes, in whole segments."""
        return sum(one.reader.backlog_bytes(one.position) for one in self._journals.values() if not one.is_retired)

    async def reconcile(
        self, amounts: Mapping[str, int] | Settlement | list[CarriedWindow], call: AuditedCall | None = None
    ) -> dict[str, str]:
        """Reconcile attempts at these nano-dollar amounts in the store and the lease table, settle a batch, or count
        spending before this gateway. Return the reasons for rejected ones. Raises `StoreError`; the lease table gets
        amounts stored before that at the next try. Without a `call`, it is the gateway's own work."""
        async with self._one_at_a_time:
            if (store := self.store) is None:
                raise StoreError(self.state.problem or "the store is not open yet")
            if isinstance(amounts, Settlement):
                found = await store.settle_batch(amounts, time())
            elif call is None:
                found = await _written(store, amounts)
            else:
                async with call.transaction(store) as change:
                    found = await _written(store, amounts, change.connection)
                    change.record(_event(amounts, found))
            if isinstance(amounts, list):  # these windows may be new to the table
                self._lease_table.restore([(*one[:2], NO_WORKER, one[2]) for one in found.corrections])
            else:
                for counter, window, amount in found.corrections:
                    self._lease_table.corrected(counter, window, amount)
            return found.rejected

    async def lapse(self) -> None:
        """Turn attempts that were not reconciled within their windows into charges."""
        is_more = True
        while is_more:
            async with self._one_at_a_time:
                is_more = self.store is not None and await self.store.lapse(time()) > 0
            await asyncio.sleep(0)

    @property
    def is_owner(self) -> bool:
        """True if no other gateway leases from the limits in the store."""
        return not self.is_shared or self._is_restored

    def open_epochs(self) -> set[int]:
        """Return the epochs of workers that may hold leases: those whose journals are not finally read to the end."""
        retired = {name for name, journal in self._journals.items() if journal.is_retired}
        return {reader.epoch for reader in discover(self._folder) if reader.folder.name not in retired}

    async def _rewind(self, store: Store) -> None:
        """Resume at the store's position, which may be behind this process's position."""
        states = await store.journals()
        self._is_taken = False
        if not self._is_restored:
            await self._restore(await store.counters(time()))
            self._is_restored = True
        else:
            await self._catch_up(store, states)
        for name, journal in self._journals.items():
            self._place(journal, states.get(name))
        self._states = states
        self._is_changed = True
        self._must_rewind = False

    async def _catch_up(self, store: Store, states: dict[str, JournalState]) -> None:
        """Update the lease table with commits whose answer was lost, and with commits that the store has lost."""
        moved: set[int] = set()
        lost: set[int] = set()
        over: list[int] = []
        for name, journal in self._journals.items():
            epoch, state = journal.reader.epoch, states.get(name, NOT_READ)
            there, here = (state.position, state.is_retired), (journal.position, journal.is_retired)
            if there != here:
                moved.add(epoch)
            if there < here:
                lost.add(epoch)
            if state.is_retired and not journal.is_retired:
                over.append(epoch)
        if not moved:
            return
        await self._restore([row for row in await store.counters(time()) if row[2] in moved], lost)
        for epoch in over:
            self._on_retired(self._lease_table.retire(epoch, time()))

    async def _restore(self, rows: list[Spending], lost: Collection[int] = ()) -> None:
        """Copy the store's counters to the lease table, with pauses for other tasks."""
        for first in range(0, len(rows), RESTORED_AT_ONCE):
            self._lease_table.restore(rows[first : first + RESTORED_AT_ONCE])
            await asyncio.sleep(0)
        self._lease_table.restore([row for row in rows if row[2] in lost], lost)

    def _place(self, journal: _Journal, state: JournalState | None) -> None:
        """Set a journal to the store's position, with the requests that are open there."""
        journal.requests = OpenRequests()
        journal.position = state.position if state is not None else Position()
        journal.is_retired = state is not None and state.is_retired
        if state is None or journal.is_retired or state.low == state.position:
            return
        # These records were ingested before; only the open requests are needed.
        position, end = state.low, state.position
        accounting = Accounting()
        while position < end:
            chunk = journal.reader.read(position, MAX_RECORDS, is_live=True)
            accounting.add(journal.reader.epoch, chunk.before(end), journal.reader.scopes, journal.requests)
            position = chunk.end
            if chunk.is_end:
                break

    def _discover(self) -> None:
        for reader in discover(self._folder):
            if reader.folder.name not in self._journals:
                journal = self._journals[reader.folder.name] = _Journal(reader)
                self._place(journal, self._states.get(reader.folder.name))
                if journal.is_retired:  # by the previous control process
                    self._on_retired(self._lease_table.retire(reader.epoch, time()))

    async def _step(self, store: Store) -> bool:
        self._discover()
        accounting = RowByRow(self._quarantine, self.splits) if self._single_commits else Accounting(self.splits)
        retired: list[_Journal] = []
        is_end, has_unread_spending = True, False
        progress: list[tuple[_Journal, Position]] = []
        for name, journal in self._journals.items():
            if journal.is_retired or journal.is_unreadable:
                continue
            is_live = journal.reader.is_live()
            end, is_read = await self._read_on(journal, accounting, is_live=is_live)
            is_over = is_read and not is_live and not journal.is_unreadable
            if is_over:
                accounting.abandon(journal.reader.epoch, journal.requests)
                retired.append(journal)
            is_end &= is_read
            has_unread_spending |= not is_read and not is_live
            if end != journal.position or is_over:
                progress.append((journal, end))
                accounting.read_to(name, JournalState(end, journal.requests.low(end), is_over))
        if progress:
            self._is_changed = True
            counters = await self._commit(store, accounting)
            self.state.commits += 1
            self.state.records += accounting.records
            for journal, end in progress:
                journal.position = end
            for row in counters:
                self._lease_table.charge(row["epoch"], row["counter"], row["window_start"], row["posted"])
            for journal in retired:
                journal.is_retired = True
                self._on_retired(self._lease_table.retire(journal.reader.epoch, time()))
        self._has_unread_spending = has_unread_spending
        if is_end:
            self.state.caught_up_at = time()
            self.has_read.set()
        return is_end

    async def _commit(self, store: Store, accounting: Accounting) -> list[Row]:
        """Write the batch. Return the rows of counters, for the lease table."""
        if not isinstance(accounting, RowByRow):
            self._gathered = max(1, accounting.records)
            if accounting.problem is not None:
                raise RejectedError(accounting.problem)
            batch = accounting.batch()
            await store.commit(batch)
            return batch.counters
        counters = await accounting.write(store)
        self._single_commits = max(0, self._single_commits - max(1, accounting.records))
        self.state.rejected = quarantined(self._quarantine)
        return counters

    async def _read_on(self, journal: _Journal, accounting: Accounting, *, is_live: bool) -> tuple[Position, bool]:
        """Read a journal on, with pauses for other tasks. Return the new position, and whether that is the end."""
        position, epoch = journal.position, journal.reader.epoch
        until = accounting.records + (MAX_RECORDS if self._single_commits else MAX_BATCH)
        while accounting.records < until:
            try:
                chunk = journal.reader.read(position, MAX_RECORDS, is_live=is_live)
            except SegmentError as error:
                self._damaged(str(error))
                journal.is_unreadable = True
                return position, True
            for damage in chunk.damage:
                self._damaged(damage)
                journal.is_damaged = True
            accounting.add(epoch, chunk, journal.reader.scopes, journal.requests)
            position = chunk.end
            if chunk.is_end:
                return position, True
            await asyncio.sleep(0)
        return position, False

    async def _clean_up(self, store: Store) -> None:
        """Forget windows that ended long ago. Every few seconds, show that the owner of the store is alive, and delete
        segments that the store has safely."""
        self._lease_table.forget_ended(time(), monotonic())
        if monotonic() >= self._beat_at:
            await store.beat()
            self._beat_at = monotonic() + BEAT_S
        if monotonic() < self._checkpoint_at:
            return
        self._checkpoint_at = monotonic() + CHECKPOINT_S
        self.state.rejected = quarantined(self._quarantine)
        safe = {name: (one.is_retired, one.requests.low(one.position)) for name, one in self._journals.items()}
        if not self._is_changed or not await store.checkpoint():
            return
        self._is_changed = False
        for name, (is_retired, low) in safe.items():
            journal = self._journals[name]
            if is_retired:
                (journal.reader.quarantine if journal.is_damaged else journal.reader.remove)()
                del self._journals[name]
            else:
                journal.reader.remove_before(low.segment)

    def _damaged(self, message: str) -> None:
        self.state.damage += 1
        _logger.error("journal: %s", message)


async def _written(
    store: Store, amounts: Mapping[str, int] | list[CarriedWindow], connection: AsyncConnection | None = None
) -> Reconciliation:
    if isinstance(amounts, list):
        return await carry(store, amounts, connection)
    return await store.reconcile(amounts, time(), connection)


def _event(amounts: Mapping[str, int] | list[CarriedWindow], found: Reconciliation) -> AuditEvent:
    """Return the event of a reconciliation, or of spending before this gateway."""
    is_carried = isinstance(amounts, list)
    by_name = {one.counter: one.nano for one in amounts} if isinstance(amounts, list) else amounts
    kind, field = ("budget", "carried_nano") if is_carried else ("attempt", "cost_nano")
    taken = [(name, nano) for name, nano in by_name.items() if name not in found.rejected]
    fields = [one for name, nano in taken for one in difference(kind, name, None, {field: nano})]
    refused = "refused: not_carried" if is_carried else "refused: not_reconciled"
    return AuditEvent(
        action="carry" if is_carried else "reconcile",
        kind=f"{kind}s",
        outcome="done" if taken else refused,
        note=f"{len(found.rejected)} were refused" if found.rejected else "",
        changes=tuple(fields),
    )
