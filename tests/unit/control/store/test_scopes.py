"""Rows in a scope: lists, sums and sessions show exactly those, each once, in SQLite and PostgreSQL."""

import time
from contextlib import AbstractAsyncContextManager, nullcontext
from pathlib import Path

import pytest
from sqlalchemy import select

from fakes.access import token
from fakes.control import TWO_TEAMS, control_plane, scope
from integration.databases import database
from integration.gateway import run
from pointsman.control.store.scopes import conditions_of
from pointsman.control.store.tables import HOLDS, REQUESTS
from pointsman.domain.rights import ALL, NOTHING

# Virtual key, team and customer of each request.
OWNERS = [
    ("me", "research", "acme"),
    ("me", "research", "acme"),
    ("you", "other", "acme"),
    ("lone", "", ""),
    ("x", "research", ""),
]


def database_of(kind: str) -> AbstractAsyncContextManager[str | None]:
    return database() if kind == "postgresql" else nullcontext()


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_limited_callers_see_exactly_the_rows_of_their_owners(kind: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with database_of(kind) as url, control_plane(tmp_path, url, config=TWO_TEAMS) as plane:
            now, ids = time.time(), []
            for number, (key, team, customer) in enumerate(OWNERS, 1):
                of = scope(number, virtual_key=key, team=team or None, customer=customer or None)
                fields = {"team": team or None, "customer": customer or None, "session": "shared"}
                ids.append(plane.write(number, now - number, of, **fields))
            await plane.ingest()
            for given, numbers in (
                (("team:research",), {0, 1, 4}), (("team:other",), {2}), (("customer:acme",), {0, 1, 2}),
                (("virtual_key:lone",), {3}), (("virtual_key:me", "team:research", "customer:acme"), {0, 1, 2, 4}),
                (("team:nobody",), set()), (("*",), {0, 1, 2, 3, 4}), (("team:me", "customer:research"), set()),
            ):  # fmt: skip
                caller = await token(plane, " ".join(given), *(f"analyst@{one}" for one in given))
                expected = {ids[number] for number in numbers}

                async def get(path: str, headers: dict[str, str] = caller.headers) -> object:
                    answer = await plane.client.get(f"/api/v1/{path}", headers=headers)
                    assert answer.status_code == 200, answer.text
                    return answer.json() if "export" not in path else answer.text.splitlines()

                listed: list[str] = []
                before = ""
                while True:
                    answer = await plane.client.get(f"/api/v1/requests?limit=2{before}", headers=caller.headers)
                    listed += [one["request_id"] for one in answer.json()]
                    if "x-pointsman-next" not in answer.headers:
                        break
                    before = f"&before={answer.headers['x-pointsman-next']}"
                assert sorted(listed) == sorted(expected), given
                assert len(await get("requests/export")) == len(expected)  # type: ignore[arg-type]
                followed = await get("requests/follow?stored_after=0")
                assert {one["request_id"] for one in followed["rows"]} == expected  # type: ignore[index]
                sums = (await get("usage?group_by=key"))["rows"]  # type: ignore[index]
                assert sum(one["attempts"] for one in sums) == len(expected)
                keys = {OWNERS[number][0] for number in numbers}
                assert {one["key"] for one in sums} == keys
                sessions = (await get("sessions"))["rows"]  # type: ignore[index]
                assert {one["virtual_key"] for one in sessions} == keys
                single = await plane.client.get("/api/v1/sessions/shared", headers=caller.headers)
                if expected:
                    assert {one["request_id"] for one in single.json()["requests"]} == expected
                    assert {one["virtual_key"] for one in single.json()["keys"]} == keys
                else:
                    assert single.status_code == 404
                for id_ in ids:
                    found = await plane.client.get(f"/api/v1/requests/{id_}", headers=caller.headers)
                    assert found.status_code == (200 if id_ in expected else 404)

    run(main())


def test_table_without_owners_is_in_no_limited_scope() -> None:
    assert conditions_of(ALL, REQUESTS.c) == []
    (condition,) = conditions_of(NOTHING, REQUESTS.c)
    assert str(select(HOLDS.c.name).where(condition)).lower().endswith("where false")
