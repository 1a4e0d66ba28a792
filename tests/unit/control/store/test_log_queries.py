"""Pages of requests: each request once, newest first, whatever the filters and however few requests a page may read."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest

from fakes.control import record, request_id
from integration.gateway import run
from pointsman.control.store import log_queries
from pointsman.control.store.log_queries import RequestFilter
from pointsman.control.store.request_log import request_row
from pointsman.control.store.store import Batch, Store
from pointsman.domain.records import RequestRecord
from unit.control.store.test_store import DAY, STORES, opened

COUNT = 400
_DECODER = msgspec.json.Decoder(RequestRecord)


def requests() -> list[RequestRecord]:
    """Return random requests, in the order of their ingestion, which is not that of their ids."""
    rng = Random(7)
    found = []
    for number in range(COUNT):
        failed = rng.random() < 0.1
        line = record(
            request_id(number, DAY + number // 3),
            DAY + number // 3 + rng.random(),
            virtual_key=rng.choice(["a", "a", "a", "b"]),
            team=rng.choice(["", "red", "blue"]) or None,
            provider=rng.choice(["openai", "groq", None]),
            status=rng.choice([429, 500]) if failed else 200,
            code=rng.choice(["rate_limited", "upstream_error"]) if failed else None,
            cost_nano=int(10 ** rng.uniform(0, 9)) if rng.random() < 0.8 else 0,
            duration_us=int(10 ** rng.uniform(2, 8)),
            session=rng.choice([None, None, "s-1", "s-2"]),
            tags={"env": rng.choice(["dev", "prod"])} if rng.random() < 0.3 else {},
        )
        found.append(_DECODER.decode(line))
    rng.shuffle(found)
    return found


ALL = requests()

FILTERS: dict[str, tuple[RequestFilter, Any]] = {
    "all": (RequestFilter(), lambda one: True),
    "key": (RequestFilter(equal={"virtual_key": "b"}), lambda one: one.virtual_key == "b"),
    "status": (RequestFilter(equal={"status": 429}), lambda one: one.status == 429),
    "team": (RequestFilter(equal={"team": "red"}), lambda one: one.team == "red"),
    "no team": (RequestFilter(equal={"team": ""}), lambda one: one.team is None),
    "key and provider": (
        RequestFilter(equal={"virtual_key": "a", "provider": "groq"}),
        lambda one: one.virtual_key == "a" and one.provider == "groq",
    ),
    "session and failure": (
        RequestFilter(equal={"session": "s-1"}, is_failed=True),
        lambda one: one.session == "s-1" and one.code is not None,
    ),
    "failure": (RequestFilter(is_failed=True), lambda one: one.code is not None),
    "code": (RequestFilter(equal={"code": "rate_limited"}), lambda one: one.code == "rate_limited"),
    "tag": (RequestFilter(tag="env=dev"), lambda one: one.tags.get("env") == "dev"),
    "tag and status": (
        RequestFilter(tag="env=prod", equal={"status": 200}),
        lambda one: one.tags.get("env") == "prod" and one.status == 200,
    ),
    "tag of few and a common key": (
        RequestFilter(tag="env=dev", equal={"virtual_key": "a", "session": "s-2"}),
        lambda one: one.tags.get("env") == "dev" and one.virtual_key == "a" and one.session == "s-2",
    ),
    "expensive": (RequestFilter(least_nano=3_000_000), lambda one: one.cost_nano >= 3_000_000),
    "of a price": (
        RequestFilter(least_nano=700, most_nano=90_000),
        lambda one: 700 <= one.cost_nano <= 90_000,
    ),
    "cheap": (RequestFilter(most_nano=500), lambda one: one.cost_nano <= 500),
    "without a cost": (RequestFilter(most_nano=0), lambda one: one.cost_nano == 0),
    "too expensive": (RequestFilter(least_nano=1 << 62), lambda one: False),
    "slow": (RequestFilter(least_us=5_000_000), lambda one: one.duration_us >= 5_000_000),
    "slow and expensive": (
        RequestFilter(least_us=300_000, least_nano=10_000, equal={"virtual_key": "a"}),
        lambda one: one.duration_us >= 300_000 and one.cost_nano >= 10_000 and one.virtual_key == "a",
    ),
    "between": (
        RequestFilter(after=request_id(90, DAY + 30), before=request_id(300, DAY + 100)),
        lambda one: request_id(90, DAY + 30) < one.request_id < request_id(300, DAY + 100),
    ),
}


@asynccontextmanager
async def filled(kind: str, folder: Path) -> AsyncIterator[Store]:
    async with opened(kind, folder) as store:
        for first in range(0, COUNT, 50):
            part = ALL[first : first + 50]
            rows = [request_row(one, msgspec.json.encode(one)) for one in part]
            tags = [{"request_id": one.request_id, "tag": f"env={one.tags['env']}"} for one in part if one.tags]
            await store.commit(Batch(requests=rows, request_tags=tags))
        yield store


@STORES
@pytest.mark.parametrize("scan", [20_000, 40])
def test_pages_hold_each_wanted_request_once(
    kind: str, scan: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_queries, "SCAN", scan)
    monkeypatch.setattr(log_queries, "STEPS", (10, 20, scan - 30))

    async def main() -> None:
        async with filled(kind, tmp_path) as store:
            for name, (chosen, is_wanted) in FILTERS.items():
                wanted = sorted((one.request_id for one in ALL if is_wanted(one)), reverse=True)
                for limit in (7, 1000):
                    found: list[str] = []
                    before: str | None = chosen.before
                    while before is not None:
                        page = await store.log.page(msgspec.structs.replace(chosen, before=before), limit)
                        assert len(page.rows) <= limit
                        assert page.next is None or page.next < before
                        found += [row["request_id"] for row in page.rows]
                        before = page.next
                    assert found == wanted, (name, limit)

    run(main())


@STORES
@pytest.mark.parametrize("name", ["all", "key and provider", "tag", "expensive", "failure", "no team"])
def test_requests_are_followed_in_the_order_of_their_ingestion(
    kind: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_queries, "SCAN", 60)
    chosen, is_wanted = FILTERS[name]

    async def main() -> None:
        async with filled(kind, tmp_path) as store:
            found: list[str] = []
            at, last = 0, -1
            while at != last:
                last = at
                rows, at = await store.log.stored_after(at, chosen, 25)
                found += [row["request_id"] for row in rows]
            assert found == [one.request_id for one in ALL if is_wanted(one)]
            assert at == await store.newest()

    run(main())


def test_page_reads_a_bounded_number_of_requests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A filter that no request meets would otherwise read all of them."""
    monkeypatch.setattr(log_queries, "SCAN", 40)
    monkeypatch.setattr(log_queries, "STEPS", (10, 20, 10))

    async def main() -> None:
        async with filled("sqlite", tmp_path) as store:
            chosen = RequestFilter(equal={"virtual_key": "a", "model": "chat"}, most_nano=-1)
            page = await store.log.page(chosen, 5)
            assert page.rows == []
            mine = sorted((one.request_id for one in ALL if one.virtual_key == "a"), reverse=True)
            assert page.next == mine[39]

    run(main())
