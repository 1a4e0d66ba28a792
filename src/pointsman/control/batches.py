"""Follows open batches at their providers, and settles each when it has ended.

Control asks a provider for the state of a batch, soon after it was requested and then ever more rarely. When the batch
has ended, control reads the usage of each line in its output file, line by line, and settles. Every step can be
repeated: an interrupted one is done again after the next start, and a settlement happens once.

A batch whose answer was lost is looked for in the provider's list, by the id of its attempt in its metadata.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from time import time

from pointsman.control.batch_costs import BatchOutput, reserved_cost, whole_cost
from pointsman.control.fetch import AnswerError, StoredAt, fetch, fetch_into
from pointsman.control.ingest import Ingest
from pointsman.control.store.batches import ModelCost, Settlement
from pointsman.control.store.database import StoreError
from pointsman.control.store.store import Store
from pointsman.control.store.tables import Row
from pointsman.domain.batches import SENT, BatchWork, decode_work
from pointsman.domain.snapshots import Snapshot
from pointsman.domain.state import Record, owner_of
from pointsman.wire.batches import BatchObject, read_batch, read_page

TICK_S = 0.5
FIRST_S, LAST_S = 1.0, 300.0  # the shortest and the longest time between two questions about a batch
SHARE = 0.1  # of the age of a batch: the time until the next question
LOST_S = 30.0  # after this time, a batch that its provider does not list was never made
OUTPUT_S = 600.0  # to read an output file
MAX_PAGES = 20  # of a list of batches

_logger = logging.getLogger("pointsman")


class BatchFollower:
    """The periodic task. `snapshot` returns the configuration in force, and `random` numbers in [0, 1)."""

    def __init__(self, ingest: Ingest, snapshot: Callable[[], Snapshot], random: Callable[[], float]) -> None:
        self._ingest = ingest
        self._snapshot = snapshot
        self._random = random
        self._due: dict[str, float] = {}  # Unix seconds, by attempt
        self._noted: dict[str, str] = {}  # the last problem with a batch that was logged, by attempt

    async def run(self) -> None:
        """Follow batches until cancelled."""
        while True:
            await asyncio.sleep(TICK_S)
            try:
                await self.step()
            except StoreError as error:
                _logger.warning("open batches cannot be read; retrying: %s", error)
            except Exception:  # the next step may succeed
                _logger.exception("cannot follow batches")

    async def step(self) -> None:
        """Ask about every batch that is due. Providers are asked at the same time, each about one batch at a time."""
        store, now = self._ingest.store, time()
        if store is None or not self._ingest.is_ready.is_set():
            return
        rows = await store.batches()
        by_provider: dict[str, list[Row]] = {}
        for row in rows:
            if self._due.get(row["attempt_id"], 0.0) <= now:
                by_provider.setdefault(row["provider"], []).append(row)
        known = {row["attempt_id"] for row in rows}
        self._due = {name: at for name, at in self._due.items() if name in known}
        self._noted = {name: problem for name, problem in self._noted.items() if name in known}
        await asyncio.gather(*(self._ask_about(store, some) for some in by_provider.values()))

    async def _ask_about(self, store: Store, rows: list[Row]) -> None:
        for row in rows:
            age_s = max(time() - row["at"], 0.0)
            delay_s = min(max(age_s * SHARE, FIRST_S), LAST_S)
            self._due[row["attempt_id"]] = time() + delay_s * (0.9 + 0.2 * self._random())
            try:
                await self._follow(store, row)
            except AnswerError as error:
                self._note(row, str(error))

    async def _follow(self, store: Store, row: Row) -> None:
        work = decode_work(row["work"])
        place = self._place_of(row["provider"], work.key) if work is not None else None
        if row["is_reconciled"]:  # an operator has set its cost
            await self._settle(row, Settlement(row["attempt_id"], row["status"], ()))
            return
        if work is None or place is None:
            self._note(row, "its provider or its key is no longer in the configuration")
            return
        if row["state"] == SENT:
            await self._find(store, row, place, is_marked=work.is_marked)
            return
        found = read_batch(await fetch(place.endpoint, place.request("batch", f"/batches/{row['batch_id']}")))
        if found is None or found.id != row["batch_id"]:
            self._note(row, "the provider's answer is not this batch")
            return
        if found.status != row["status"]:
            await store.note_batch(row["attempt_id"], found.status, time())
        if found.has_ended:
            costs = await self._costs(row, place, work, found)
            await self._settle(row, Settlement(row["attempt_id"], found.status, costs))

    async def _settle(self, row: Row, settlement: Settlement) -> None:
        """Settle a batch. A transaction that has begun is not cancelled."""
        settling = asyncio.ensure_future(self._ingest.reconcile(settlement))
        try:
            reasons = await asyncio.shield(settling)
        except asyncio.CancelledError:
            with suppress(StoreError):
                await settling
            raise
        for reason in reasons.values():
            self._note(row, reason)
            return
        _logger.info(
            "batch %s at %s: %s, %d lines, %.9f dollars",
            row["batch_id"],
            row["provider"],
            settlement.status,
            sum(one.lines for one in settlement.costs),
            settlement.nano / 1e9,
        )

    async def _find(self, store: Store, row: Row, place: StoredAt, *, is_marked: bool) -> None:
        """Look for a batch whose answer was lost."""
        if row["counters"] is None or not is_marked:  # its attempt goes on; or nothing identifies it
            if row["counters"] is not None:
                self._note(row, "its answer was lost, and its metadata had no room for the id of its attempt")
            return
        found = await self._listed(place, row["attempt_id"])
        if found is not None:
            owner = owner_of(row["virtual_key"] or None, row["team"] or None)
            made = Record(
                id=found, kind="batch", provider=row["provider"], key=place.key.name, owner=owner, at=row["at"]
            )
            await store.find_batch(row["attempt_id"], made)
        elif time() - row["at"] > LOST_S:
            await self._settle(row, Settlement(row["attempt_id"], "never made", ()))

    @staticmethod
    async def _listed(place: StoredAt, attempt: str) -> str | None:
        """Return the id of the batch with this attempt in its metadata. Raises `AnswerError` if the list is not read to
        its end."""
        after = ""
        for _ in range(MAX_PAGES):
            page = read_page(await fetch(place.endpoint, place.request("batch", f"/batches?limit=100{after}")))
            if page is None:
                raise AnswerError("the provider's list of batches cannot be read")
            for one in page.data:
                if one.mark == attempt:
                    return one.id
            if not page.has_more or not page.data:
                return None
            after = f"&after={page.data[-1].id}"
        raise AnswerError(f"the batch is not among the {MAX_PAGES * 100} newest ones of its provider")

    async def _costs(self, row: Row, place: StoredAt, work: BatchWork, batch: BatchObject) -> tuple[ModelCost, ...]:
        """Return the costs of a batch that has ended. Raises `AnswerError` if they cannot be read now."""
        if batch.output_file_id is None:  # no line has been answered
            return ()
        output, path = BatchOutput(work), f"/files/{batch.output_file_id}/content"
        try:
            await fetch_into(place.endpoint, place.request("file", path), output.feed, OUTPUT_S)
            output.end()
        except AnswerError as error:
            if error.status != 404:
                raise
            # The client has deleted the file.
            used = batch.used()
            self._note(row, "its output file is gone" if used is not None else "its output file and its usage are gone")
            return (whole_cost(work, batch, used) if used is not None else reserved_cost(work, row["held_nano"] or 0),)
        return output.costs(batch.request_counts.failed if batch.request_counts is not None else 0)

    def _place_of(self, provider: str, key: str) -> StoredAt | None:
        endpoint = self._snapshot().endpoints.get(provider)
        found = next((one for one in endpoint.keys if one.name == key), None) if endpoint is not None else None
        return StoredAt(endpoint, found) if endpoint is not None and found is not None else None

    def _note(self, row: Row, problem: str) -> None:
        """Log a problem with a batch, once."""
        if self._noted.get(row["attempt_id"]) != problem:
            self._noted[row["attempt_id"]] = problem
            name = row["batch_id"] or row["attempt_id"]
            _logger.warning("batch %s at %s is not settled yet: %s", name, row["provider"], problem)
