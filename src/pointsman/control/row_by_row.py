"""Finds the rows of a batch that the store rejects, so that one bad record does not stop ingestion."""

import json
import logging
import os
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from pointsman.control.accounting import NO_SPLITS, Accounting, OpenRequests
from pointsman.control.store.store import Batch, Store
from pointsman.control.store.tables import Row
from pointsman.control.variants import Splits
from pointsman.journal.reader import Chunk
from pointsman.journal.records import ChargeScope, Outcome

PARTS = (
    "counters", "usage", "tags", "requests", "request_tags", "minutes", "sessions", "agents", "unsettled", "state",
    "splits", "feedback", "batches",
)  # fmt: skip

_logger = logging.getLogger(__name__)


class Piece(NamedTuple):
    """The rows of one record. `problem` is the reason if it has fewer rows than it should."""

    origin: str
    record: object
    batch: Batch
    problem: str | None


class RowByRow(Accounting):
    """Gathers a batch record by record. Rejected records go to the file `quarantine`, each at least once."""

    def __init__(self, quarantine: Path, splits: Splits = NO_SPLITS) -> None:
        super().__init__(splits)
        self._quarantine = quarantine
        self._pieces: list[Piece] = []
        self._taken = Batch()
        self._rejected: list[dict[str, object]] = []

    def add(self, epoch: int, chunk: Chunk, scopes: dict[int, ChargeScope], requests: OpenRequests) -> None:
        """Add records, a piece each."""
        for offset, record in zip(chunk.offsets, chunk.records, strict=True):
            one = Accounting(self.splits)
            part = Chunk(segment=chunk.segment, offsets=[offset], records=[record], end=chunk.end, is_end=False)
            one.add(epoch, part, scopes, requests)
            origin = f"epoch {epoch}, segment {chunk.segment}, byte {offset}"
            attempt = requests.attempt(record) if isinstance(record, Outcome) else None
            self._pieces.append(Piece(origin, attempt or record, one.batch(), one.problem))
        self.records += len(chunk.records)

    def abandon(self, epoch: int, requests: OpenRequests) -> None:
        """Charge the open requests of a dead worker, a piece each."""
        for request_id, attempts in requests.take_all():
            one = Accounting(self.splits)
            one.abandon_one(epoch, requests, request_id, attempts)
            self._pieces.append(Piece(f"epoch {epoch}, {request_id}", attempts, one.batch(), one.problem))

    async def write(self, store: Store) -> list[Row]:
        """Commit the rows that the store takes. Return those of counters. Raises `StoreError`."""
        await self._take(store, self._pieces)
        if self._rejected:
            self._keep(self._rejected)
        await store.commit(_joined([Batch(journals=self.journals), self._taken]))
        return self._taken.counters

    async def _take(self, store: Store, pieces: list[Piece]) -> None:
        """Find the rows that the store accepts together with those found so far. Try all pieces at once, then halves,
        down to single rows."""
        whole = _joined([self._taken, *(piece.batch for piece in pieces)])
        if await store.rejection(whole) is None:
            self._taken = whole
            for piece in pieces:
                self._reject(piece, [])
        elif len(pieces) > 1:
            half = len(pieces) // 2
            await self._take(store, pieces[:half])
            await self._take(store, pieces[half:])
        else:
            (piece,) = pieces
            reasons: list[str] = []
            for name in PARTS:
                for row in getattr(piece.batch, name):
                    one = Batch()
                    setattr(one, name, [row])
                    more = _joined([self._taken, one])
                    reason = await store.rejection(more)
                    if reason is None:
                        self._taken = more
                    else:
                        reasons.append(f"{name}: {reason}: {row!r}")
            self._reject(piece, reasons)

    def _reject(self, piece: Piece, reasons: list[str]) -> None:
        if piece.problem is not None:
            reasons = [piece.problem, *reasons]
        if reasons:
            self._rejected.append({"from": piece.origin, "why": reasons, "record": repr(piece.record)})

    def _keep(self, rejected: list[dict[str, object]]) -> None:
        file, first = self._quarantine, rejected[0]
        _logger.error("%d record(s) quarantined in %s; first %s: %s", len(rejected), file, first["from"], first["why"])
        try:
            fd = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            with os.fdopen(fd, "w") as lines:
                lines.writelines(json.dumps(one) + "\n" for one in rejected)
        except OSError as error:
            _logger.error("cannot write %s: %s", file, error.strerror)  # noqa: TRY400 -- the trace would not help


def _joined(batches: list[Batch]) -> Batch:
    rows = {name: list(chain.from_iterable(getattr(one, name) for one in batches)) for name in PARTS}
    return Batch(journals=batches[0].journals, **rows)


def quarantined(file: Path) -> int:
    """Return the number of records in the file."""
    try:
        return file.read_bytes().count(b"\n")
    except FileNotFoundError:
        return 0
