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
from functools import partial
from time import monotonic, time
from typing import Any

from pointsman.control.batch_costs import BatchOutput, OutputError, costs_without_output, reserved_cost, whole_cost
from pointsman.control.fetch import AnswerError, StoredAt, fetch, fetch_into
from pointsman.control.ingest import Ingest
from pointsman.control.store.batches import ModelCost, Settlement
from pointsman.control.store.database import StoreError
from pointsman.control.store.store import Store
from pointsman.control.store.tables import Row
from pointsman.domain.batches import SENT, SETTLED, BatchWork, decode_work
from pointsman.domain.snapshots import Snapshot
from pointsman.domain.state import Record, owner_of
from pointsman.wire.batches import ENDED, IN_PROGRESS, BatchObject, read_batch, read_page
from pointsman.wire.state import ID

TICK_S = 0.5
FIRST_S, LAST_S = 1.0, 300.0  # the shortest and the longest time between two questions about a batch
SHARE = 0.1  # of the age of a batch: the time until the next question
LOST_S = 300.0  # a batch was never made if two lists of its provider, so far apart, do not have it
OUTPUT_S = 600.0  # to read an output file
GIVE_UP_S = 86_400.0  # from the request: then an output that cannot be understood costs the whole reservation
MAX_PAGES = 20  # of a list of batches

_logger = logging.getLogger("pointsman")


class NotSettled(Exception):  # noqa: N818 -- it is the expected state of a batch for a while
    """The reason why a batch cannot be settled yet."""


class BatchFollower:
    """The periodic task. `snapshot` returns the configuration in force, and `random` numbers in [0, 1)."""

    def __init__(self, ingest: Ingest, snapshot: Callable[[], Snapshot], random: Callable[[], float]) -> None:
        self._ingest = ingest
        self._snapshot = snapshot
        self._random = random
        self._tasks: dict[str, asyncio.Task[None]] = {}  # by provider
        self._missing: dict[str, float] = {}  # monotonic: the first list without a batch, by attempt

    async def run(self) -> None:
        """Follow batches until cancelled."""
        try:
            while True:
                await asyncio.sleep(TICK_S)
                try:
                    await self.step()
                except StoreError as error:
                    _logger.warning("open batches cannot be read; retrying: %s", error)
                except Exception:  # the next step may succeed
                    _logger.exception("cannot follow batches")
        finally:
            for task in self._tasks.values():
                task.cancel()
            await self.finish()

    async def step(self) -> None:
        """Start to ask about the batches that are due. Each provider has a task of its own, so none waits for another
        one."""
        store = self._ingest.store
        if store is None or not self._ingest.is_ready.is_set():
            return
        by_provider: dict[str, list[Row]] = {}
        for row in await store.due_batches(time(), without=list(self._tasks)):
            by_provider.setdefault(row["provider"], []).append(row)
        for provider, rows in by_provider.items():
            task = self._tasks[provider] = asyncio.create_task(self._ask_about(store, rows))
            task.add_done_callback(partial(self._done, provider))

    async def finish(self) -> None:
        """Wait for the end of the tasks."""
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _done(self, provider: str, task: "asyncio.Task[None]") -> None:
        del self._tasks[provider]
        if not task.cancelled() and (error := task.exception()) is not None:
            _logger.warning("batches at %s cannot be followed; retrying: %s", provider, error)

    async def _ask_about(self, store: Store, rows: list[Row]) -> None:
        """Ask about some batches of a provider, one after the other. Raises `StoreError`."""
        for row in rows:
            values: dict[str, Any] = {}
            age_s = max(time() - row["at"], 0.0)
            delay_s = min(max(age_s * SHARE, FIRST_S), LAST_S) * (0.9 + 0.2 * self._random())
            try:
                values = {**await self._follow(store, row), "problem": ""}
            except (AnswerError, NotSettled) as error:
                values = {"problem": str(error)}
            except StoreError:
                raise
            except Exception as error:  # one bad batch must not stop the others
                values = {"problem": f"an internal error: {type(error).__name__}: {error}"}
                if values["problem"] != row["problem"]:
                    _logger.exception("an internal error while following batch %s", _name_of(row))
            if values["problem"] not in ("", row["problem"]):  # logged once
                _logger.warning(
                    "batch %s at %s is not settled yet: %s", _name_of(row), row["provider"], values["problem"]
                )
            await store.note_batch(row["attempt_id"], due_at=time() + delay_s, **values)

    async def _follow(self, store: Store, row: Row) -> dict[str, Any]:
        """Ask about a batch, and settle it if it has ended. Return columns to note. Raises `AnswerError` or
        `NotSettled`."""
        if row["counters"] is None:  # the attempt that requests it goes on, so nothing could be settled
            return {}
        if row["is_reconciled"]:
            await store.note_batch(row["attempt_id"], state=SETTLED, problem="")
            usd = row["reconciled_nano"] / 1e9
            _logger.info("batch %s at %s: an operator set its cost, %.9f dollars", _name_of(row), row["provider"], usd)
            return {}
        work = decode_work(row["work"])
        if work is None:
            raise NotSettled("another version of the gateway wrote down its lines")
        place = self._place_of(row["provider"], work.key)
        if place is None:
            raise NotSettled("its provider or its key is no longer in the configuration")
        if row["state"] == SENT:
            await self._find(store, row, place, is_marked=work.is_marked)
            return {}
        found = read_batch(await fetch(place.endpoint, place.request("batch", f"/batches/{row['batch_id']}")))
        if found is None or found.id != row["batch_id"]:
            raise AnswerError("the provider's answer is not this batch")
        if found.status not in ENDED | IN_PROGRESS:
            raise AnswerError(f"its status {found.status[:100]!r} is unknown")
        if found.status != row["status"]:
            await store.note_batch(row["attempt_id"], status=found.status, checked_at=time())
        if found.has_ended:
            costs = await self._costs(row, place, work, found)
            await self._settle(row, Settlement(row["attempt_id"], found.status, costs))
        return {"checked_at": time()}

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
            raise NotSettled(reason)
        _logger.info(
            "batch %s at %s: %s, %d lines, %d of them failed, %.9f dollars",
            _name_of(row),
            row["provider"],
            settlement.status,
            sum(one.lines for one in settlement.costs),
            sum(one.failed for one in settlement.costs),
            settlement.nano / 1e9,
        )

    async def _find(self, store: Store, row: Row, place: StoredAt, *, is_marked: bool) -> None:
        """Look for a batch whose answer was lost. Its provider may list a new one late, so a single list without it
        proves nothing."""
        if not is_marked:
            raise NotSettled("its answer was lost, and its metadata had no room for the id of its attempt")
        attempt = row["attempt_id"]
        found = await self._listed(place, attempt)
        if found is not None:
            self._missing.pop(attempt, None)
            owner = owner_of(row["virtual_key"] or None, row["team"] or None)
            made = Record(
                id=found, kind="batch", provider=row["provider"], key=place.key.name, owner=owner, at=row["at"]
            )
            await store.find_batch(attempt, made)
        elif monotonic() - self._missing.setdefault(attempt, monotonic()) >= LOST_S:
            await self._settle(row, Settlement(attempt, "never made", ()))
            del self._missing[attempt]

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
                if one.mark == attempt and ID.fullmatch(one.id):
                    return one.id
            if not page.has_more or not page.data:
                return None
            after = f"&after={page.data[-1].id}"
        raise AnswerError(f"the batch is not among the {MAX_PAGES * 100} newest ones of its provider")

    async def _costs(self, row: Row, place: StoredAt, work: BatchWork, batch: BatchObject) -> tuple[ModelCost, ...]:
        """Return the costs of a batch that has ended. Raises `AnswerError` if they cannot be read now."""
        problem = "its output file is gone, and no usage is reported"
        try:
            if batch.output_file_id is None:
                return costs_without_output(work, batch)
            output, path = BatchOutput(work), f"/files/{batch.output_file_id}/content"
            await fetch_into(place.endpoint, place.request("file", path), output.feed, OUTPUT_S)
            return output.end(batch.request_counts)
        except OutputError as error:
            if time() - row["at"] < GIVE_UP_S or not row["problem"]:  # a second try may find another answer
                raise
            problem = str(error)
        except AnswerError as error:
            if error.status != 404:  # else the client has deleted the file
                raise
            if (used := batch.used()) is not None:
                return (whole_cost(work, batch, used),)
        _logger.warning("batch %s at %s costs its whole reservation: %s", _name_of(row), row["provider"], problem)
        return (reserved_cost(work),)

    def _place_of(self, provider: str, key: str) -> StoredAt | None:
        endpoint = self._snapshot().endpoints.get(provider)
        found = next((one for one in endpoint.keys if one.name == key), None) if endpoint is not None else None
        return StoredAt(endpoint, found) if endpoint is not None and found is not None else None


def _name_of(row: Row) -> str:
    return str(row["batch_id"] or row["attempt_id"])
