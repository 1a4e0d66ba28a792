"""GET /api/v1/sessions and /{session}: sums over the requests of a session, its agents, and pages of both."""

import time
from pathlib import Path
from typing import Any

import pytest

from fakes.control import ControlPlane, control_plane, scope, write_estimated
from integration.databases import database
from integration.gateway import run


def of_agents(plane: ControlPlane, now: float) -> list[str]:
    """Write a session of a main agent, its sub-agent, and that one's sub-agent."""
    agents = [(None, None), ("a", None), ("b", "a"), ("b", "a"), (None, None)]
    return [
        plane.write(number, now + number, session="the/session", agent=agent, parent_agent=parent, nano=10 + number)
        for number, (agent, parent) in enumerate(agents)
    ]


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_session_has_sums_agents_and_requests(kind: str, tmp_path: Path) -> None:
    async def check(url: str | None) -> None:
        async with control_plane(tmp_path, url) as plane:
            now = float(int(time.time()))
            ids = of_agents(plane, now)
            await plane.ingest()
            ids.append(plane.write(9, now - 5, session="the/session", status=500, code="upstream_error", nano=0))
            plane.write(10, now, session=None)
            await plane.ingest()
            (row,) = (await plane.data("/api/v1/sessions"))["rows"]
            assert (row["session"], row["virtual_key"], row["team"]) == ("the/session", "me", "research")
            assert (row["requests"], row["failures"], row["cost_nano"], row["tokens_in"]) == (6, 1, 60, 60)
            assert (row["first_at"], row["last_at"]) == (now - 5, now + 4)

            found = await plane.data("/api/v1/sessions/the%2Fsession")
            assert [one["requests"] for one in found["keys"]] == [6]
            assert [
                (one["agent"], one["parent_agent"], one["requests"], one["cost_nano"]) for one in found["agents"]
            ] == [
                ("a", None, 1, 11),
                ("b", "a", 2, 25),
            ]
            newest_first = [ids[4], ids[3], ids[2], ids[1], ids[0], ids[5]]
            assert [one["request_id"] for one in found["requests"]] == newest_first
            assert [one["agent"] for one in found["requests"]] == [None, "b", "b", "a", None, None]
            assert found["next"] is None
            page = await plane.data("/api/v1/sessions/the/session", limit=4)
            rest = await plane.data("/api/v1/sessions/the/session", limit=4, before=page["next"])
            assert [one["request_id"] for one in (*page["requests"], *rest["requests"])] == newest_first
            assert (await plane.get("/api/v1/sessions/none")).status_code == 404

    async def main() -> None:
        if kind == "sqlite":
            await check(None)
        else:
            async with database() as url:
                await check(url)

    run(main())


def test_pages_hold_each_session_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            now = time.time()
            for number in range(9):
                of = scope(number % 2 + 1, virtual_key=f"key-{number % 2}")
                plane.write(number, now + number // 4, of, session=f"s-{number // 2}")
            await plane.ingest()

            async def found(**parameters: Any) -> list[tuple[str, str]]:
                rows, cursor = [], None
                while True:
                    page = await plane.data("/api/v1/sessions", **parameters, **({"before": cursor} if cursor else {}))
                    rows += page["rows"]
                    if (cursor := page["next"]) is None:
                        return [(row["session"], row["virtual_key"]) for row in rows]

            whole = await found()
            assert len(whole) == len(set(whole)) == 9
            assert await found(limit=1) == await found(limit=2) == await found(limit=4) == whole
            assert await found(key="key-1", limit=2) == [one for one in whole if one[1] == "key-1"]
            assert (await plane.get("/api/v1/sessions", key="nobody")).status_code == 404
            assert (await plane.get("/api/v1/sessions", before="=")).status_code == 422

    run(main())


def test_reconciled_cost_is_the_cost_of_the_session(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            now = time.time()
            one = write_estimated(plane.writer, 1, now, scope(), 50, 900)
            await plane.ingest()
            for by in ("status", "minute", "hour,status"):
                (row,) = (await plane.data("/api/v1/usage", group_by=by))["rows"]
                assert (row["cost_nano"], row["estimated_nano"], row["requests"]) == (50, 50, 1)
            await plane.inquiry_handler.parts.ingest.reconcile({f"{one}-1": 70})
            for by in ("status", "minute", "hour,status", "day"):
                (row,) = (await plane.data("/api/v1/usage", group_by=by))["rows"]
                assert (row["cost_nano"], row["estimated_nano"]) == (70, 0), by
            assert (await plane.data("/api/v1/requests", min_cost_usd=0.00000007))[0]["request_id"] == one

    run(main())
