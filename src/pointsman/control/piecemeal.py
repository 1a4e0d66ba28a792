"""The same as `accounting`, record by record: for a batch of which the store does not take all. No I/O."""

import json

import msgspec

from pointsman.control.accounting import Accounting, Charged, OpenAttempt, OpenRequests
from pointsman.control.store.store import Piece, RefusedPiece
from pointsman.journal.reader import Chunk, Position
from pointsman.journal.records import ChargeScope, Outcome, Record, RequestDone


class Piecemeal(Accounting):
    """Gathers the same record by record, for a store that does not take all of them."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[Piece] = []
        self._charged: list[list[Charged]] = []  # of each piece

    def add(self, epoch: int, chunk: Chunk, scopes: dict[int, ChargeScope], requests: OpenRequests) -> None:
        """Take records in, a piece each."""
        for offset, record in zip(chunk.offsets, chunk.records, strict=True):
            one = Accounting()
            one.add(
                epoch,
                Chunk(segment=chunk.segment, offsets=[offset], records=[record], end=chunk.end, is_end=False),
                scopes,
                requests,
            )
            self._keep(one, epoch, Position(chunk.segment, offset), _told(record, requests))
        self.records += len(chunk.records)

    def abandon(self, epoch: int, requests: OpenRequests) -> None:
        """A worker died: a piece for each of its open requests."""
        for request_id, attempts in requests.take_all():
            one = Accounting()
            one.abandon_one(epoch, requests, request_id, attempts)
            told = _json({"abandoned": [_attempt(attempt) for attempt in attempts]})
            self._keep(one, epoch, attempts[0].position, told)

    def taken(self, refusals: list[RefusedPiece]) -> list[Charged]:
        """What the lease book is to be told once all but these was committed."""
        refused = {(one.piece.epoch, one.piece.position): one.counters for one in refusals}
        return [
            charged
            for piece, every in zip(self.pieces, self._charged, strict=True)
            for charged in every
            if (charged.counter, charged.window, charged.epoch) not in refused.get((piece.epoch, piece.position), ())
        ]

    def _keep(self, one: Accounting, epoch: int, position: Position, record: bytes) -> None:
        batch = one.batch()
        if batch.counters or batch.usage or batch.requests or batch.unsettled or batch.state or one.problem is not None:
            self.pieces.append(Piece(epoch, position, batch, record, one.problem))
            self._charged.append(one.charged())


def _told(record: Record, requests: OpenRequests) -> bytes:
    """What is kept of a record that the store refuses: the line of a request as it is; else JSON, with what it takes to
    understand it."""
    if isinstance(record, RequestDone):
        return record.record
    attempt = requests.attempt(record) if isinstance(record, Outcome) else None
    return _json(_attempt(attempt) if attempt is not None else {"record": msgspec.to_builtins(record)})


def _attempt(attempt: OpenAttempt) -> dict[str, object]:
    """Each record an array, in the order of its fields."""
    named = {"scope": attempt.scope, "intent": attempt.intent, "outcome": attempt.outcome}
    return {name: msgspec.to_builtins(record) for name, record in named.items()}


def _json(value: dict[str, object]) -> bytes:
    return json.dumps(value).encode("ascii")
