"""A batch written record by record has the same sums as one written whole. Rejected records are quarantined."""

import json
from collections import Counter
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from fakes.control import DAY_COUNTER, record, request_id, scope
from integration.gateway import run
from pointsman.control.accounting import Accounting, OpenRequests
from pointsman.control.row_by_row import RowByRow, quarantined
from pointsman.control.store.database import store_url
from pointsman.control.store.store import Store
from pointsman.control.store.tables import COUNTERS, REQUESTS, UNSETTLED, USAGE, USAGE_TAGS, Row
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


def on_store(folder: Path, test: Callable[[Store], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        store = await Store.open(store_url(None, folder))
        await test(store)
        await store.close()

    run(main())


async def content(store: Store) -> list[list[Row]]:
    """Return all rows, without the numbers of the commits."""
    tables = [await store._rows(select(table)) for table in (COUNTERS, USAGE, USAGE_TAGS, REQUESTS, UNSETTLED)]
    return [[{name: row[name] for name in row if name != "ingested"} for row in rows] for rows in tables]


def test_pieces_write_the_same_as_a_batch(tmp_path: Path) -> None:
    found: list[list[list[Row]]] = []
    charges: list[Counter[tuple[str, int]]] = []

    async def whole(store: Store) -> None:
        batch = gathered(Accounting(), *RECORDS).batch()
        await store.commit(batch)
        found.append(await content(store))
        charges.append(charged(batch.counters))

    async def by_pieces(store: Store) -> None:
        pieces = RowByRow(tmp_path / "quarantine")
        gathered(pieces, *RECORDS)
        charges.append(charged(await pieces.write(store)))
        found.append(await content(store))

    for name, test in (("whole", whole), ("pieces", by_pieces)):
        (tmp_path / name).mkdir()
        on_store(tmp_path / name, test)
    assert found[0] == found[1]
    assert charges[0] == charges[1]
    assert quarantined(tmp_path / "quarantine") == 0


def charged(every: list[Row]) -> Counter[tuple[str, int]]:
    found: Counter[tuple[str, int]] = Counter()
    for one in every:
        found[one["counter"], one["window_start"]] += one["posted"]
    return found


def test_rejected_record_is_quarantined_with_its_origin_and_its_charge_counts(tmp_path: Path) -> None:
    file = tmp_path / "quarantine"
    tokens = Outcome(1, request_id(9, DAY), 1, DAY + 1, 70, 1 << 63, 5, 2, 1, "ok", "reported")

    async def test(store: Store) -> None:
        pieces = RowByRow(file)
        gathered(pieces, *RECORDS, RequestDone(b"no JSON"), intent(9), tokens)
        counted = charged(await pieces.write(store))
        assert counted[DAY_COUNTER, DAY] == 70 + 70 + 1000 + 70
        assert await store.counters(DAY) == [
            (name, at, EPOCH, counted[name, at]) for name, at, *_ in await store.counters(DAY)
        ]

    on_store(tmp_path, test)
    line, attempt = map(json.loads, file.read_text().splitlines())
    assert file.stat().st_mode & 0o777 == 0o600
    assert quarantined(file) == 2
    assert (line["from"], line["record"]) == ("epoch 7, segment 3, byte 108", "RequestDone(record=b'no JSON')")
    assert attempt["from"] == "epoch 7, segment 3, byte 110"
    assert {why.partition(":")[0] for why in attempt["why"]} == {"counters", "usage"}
    assert "ChargeScope(" in attempt["record"], "the line has the whole attempt"


def test_unwritable_quarantine_does_not_stop_ingestion(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def test(store: Store) -> None:
        pieces = RowByRow(tmp_path)
        gathered(pieces, *RECORDS, RequestDone(b"no JSON"))
        assert await pieces.write(store)

    on_store(tmp_path, test)
    assert f"cannot write {tmp_path}: Is a directory" in caplog.text
