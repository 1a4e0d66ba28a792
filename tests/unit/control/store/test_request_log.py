"""The rows of the request log."""

from pathlib import Path
from typing import Any

import msgspec

from fakes.control import record, request_id
from pointsman.control.store.request_log import minute_of, request_row
from pointsman.control.store.store import Batch, Store
from pointsman.control.store.tables import REQUEST_SUMS, REQUESTS, Row
from pointsman.domain.records import RequestRecord
from unit.control.store.test_store import DAY, STORES, on_store

_DECODER = msgspec.json.Decoder(RequestRecord)


def test_row_has_a_value_for_each_column_but_the_last() -> None:
    line = record(request_id(1, DAY), DAY, cost_nano=5, duration_us=256, session="s", code="broken")
    names = [column.name for column in REQUESTS.columns][:-1]
    row = dict(zip(names, request_row(_DECODER.decode(line), line), strict=True))
    assert (row["cost_bits"], row["duration_bits"]) == (3, 9)
    assert (row["team"], row["customer"], row["session"], row["code"]) == ("research", "", "s", "broken")
    assert row["record"] == line


def test_minute_of_an_id() -> None:
    assert minute_of(request_id(7, DAY + 119.9)) == DAY + 60
    assert minute_of("of an older version") == 0


@STORES
def test_sessions_grow_in_any_order_of_their_batches(kind: str, tmp_path: Path) -> None:
    def row(at: float, **fields: Any) -> Row:
        whose = {"session": "s", "virtual_key": "me", "team": "red", "customer": ""}
        return {**whose, "first_at": at, "last_at": at, **dict.fromkeys(REQUEST_SUMS, 1), **fields}

    async def test(store: Store) -> None:
        await store.commit(Batch(sessions=[row(DAY + 5.0)]))
        await store.commit(Batch(sessions=[row(DAY + 3.0, team="")]))
        await store.commit(Batch(sessions=[row(DAY + 4.0, customer="acme"), row(DAY + 9.0, session="t")]))
        (found,) = await store.log.session("s")
        assert (found["first_at"], found["last_at"], found["requests"]) == (DAY + 3, DAY + 5, 3)
        assert (found["team"], found["customer"]) == ("red", "acme")
        assert [one["session"] for one in await store.log.sessions(None, 9, None)] == ["t", "s"]

    on_store(kind, tmp_path, test)
