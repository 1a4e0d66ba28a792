"""Record by record it comes to the same as in sums, and of what is refused only that is left out."""

import json
from collections import Counter
from itertools import chain

from fakes.control import DAY_COUNTER, record, request_id, scope
from pointsman.control.accounting import Accounting, OpenRequests
from pointsman.control.piecemeal import Piecemeal
from pointsman.control.store.reports import Row
from pointsman.control.store.store import Batch, RefusedPiece
from pointsman.control.store.tables import TAG_SUMS, USAGE_SUMS
from pointsman.journal.reader import Chunk, Position
from pointsman.journal.records import Intent, Outcome, Record, RequestDone

DAY = 20_000 * 86_400
EPOCH = 7


def intent(number: int, ordinal: int = 1, at: float = DAY) -> Intent:
    return Intent(1, request_id(number, DAY), ordinal, at, 1000, 100)


def outcome(number: int, ordinal: int = 1) -> Outcome:
    return Outcome(1, request_id(number, DAY), ordinal, DAY + 1, 70, 10, 5, 2, 1, "ok", "reported")


def done(number: int) -> RequestDone:
    return RequestDone(record(request_id(number, DAY), DAY, tags={"team": f"t{number % 2}"}))


RECORDS: list[Record] = [scope(), intent(1), outcome(1), done(1), intent(2), intent(2, 2), outcome(2, 2), done(3)]


def gathered(into: Accounting, *records: Record) -> Accounting:
    requests = OpenRequests()
    offsets = list(range(100, 100 + len(records)))
    chunk = Chunk(segment=3, offsets=offsets, records=list(records), end=Position(3, 100 + len(records)), is_end=True)
    into.add(EPOCH, chunk, {}, requests)
    into.abandon(EPOCH, requests)
    return into


def summed(rows: list[Row], *sums: str) -> Counter[tuple[object, ...]]:
    found: Counter[tuple[object, ...]] = Counter()
    for row in rows:
        for name in sums:
            found[*(value for key, value in row.items() if key not in sums), name] += row[name]
    return found


def as_sums(*batches: Batch) -> tuple[object, ...]:
    joined = [list(chain(*(getattr(one, name) for one in batches))) for name in ("counters", "usage", "tags")]
    return (
        summed(joined[0], "posted"),
        summed(joined[1], *USAGE_SUMS),
        summed(joined[2], *TAG_SUMS),
        sorted(chain(*(one.requests for one in batches))),
        sorted(str(row) for one in batches for row in one.unsettled),
    )


def test_pieces_come_to_the_same_as_sums() -> None:
    whole, pieces = gathered(Accounting(), *RECORDS), Piecemeal()
    gathered(pieces, *RECORDS)
    assert as_sums(*(piece.batch for piece in pieces.pieces)) == as_sums(whole.batch())
    assert pieces.records == whole.records
    by_counter: Counter[tuple[str, int]] = Counter()
    for one in pieces.taken([]):
        by_counter[one.counter, one.window] += one.amount
    assert by_counter == {(one.counter, one.window): one.amount for one in whole.charged()}


def test_what_was_refused_is_not_told_to_the_book() -> None:
    pieces = Piecemeal()
    gathered(pieces, *RECORDS)
    refused = next(one for one in pieces.pieces if one.batch.counters)
    taken = pieces.taken([RefusedPiece(refused, "why", {(DAY_COUNTER, DAY, EPOCH)})])
    assert len(taken) == len(pieces.taken([])) - 1
    assert sum(one.amount for one in taken if one.counter == DAY_COUNTER) == 70 + 1000


def test_each_piece_knows_where_it_is_from_and_what_it_was() -> None:
    pieces = Piecemeal()
    gathered(pieces, *RECORDS, RequestDone(b"no JSON"), intent(9, at=float("nan")), outcome(9))
    told = {one.position.offset: one for one in pieces.pieces}
    assert {one.epoch for one in told.values()} == {EPOCH}
    assert {one.position.segment for one in told.values()} == {3}
    attempt = json.loads(told[102].record)
    assert [attempt[name][0] for name in ("scope", "intent", "outcome")] == [1, 2, 3], "the tags of the records"
    assert attempt["outcome"][5] == 70
    assert json.loads(told[103].record)["request_id"] == request_id(1, DAY)
    abandoned = json.loads(told[104].record)["abandoned"]
    assert [one["intent"][5] for one in abandoned] == [1000, 1000]
    assert told[108].record == b"no JSON"
    assert told[108].problem is not None
    assert told[110].problem is not None
    assert b"NaN" in told[110].record
