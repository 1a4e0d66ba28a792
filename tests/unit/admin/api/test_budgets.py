"""GET /api/v1/budgets: limits in their windows."""

import asyncio
import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from fakes.access import token
from fakes.clock import pace
from fakes.control import TWO_TEAMS, control_plane
from fakes.lag import LongestTurn
from integration.gateway import run


def test_used_limits_are_listed_with_their_windows(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            untouched = {(one["owner"], one["posted"], one["lent"]) for one in await plane.data("/api/v1/budgets")}
            assert untouched == {("virtual_key:me", 0, 0), ("team:research", 0, 0)}, "they are unused"
            plane.write(1)
            await plane.ingest()
            found = {(one["owner"], one["metric"], one["period"]): one for one in await plane.data("/api/v1/budgets")}
            day = found["virtual_key:me", "usd", "day"]
            assert (day["limit"], day["posted"], day["soft"]) == (5_000_000_000, 70, False)
            assert day["window_start"] <= time.time() < day["window_end"] == day["window_start"] + 86_400
            assert found["team:research", "usd", "month"]["limit"] == 100_000_000_000
            gone = found["virtual_key:me", "tokens", "hour"]
            assert (gone["limit"], gone["window_end"], gone["posted"]) == (None, None, 15), "no longer configured"

    run(main())


def test_limits_are_filtered_by_owner_and_past_windows(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            plane.write(1)
            plane.write(2, time.time() - 86_400)
            await plane.ingest()
            now = await plane.data("/api/v1/budgets", owner="virtual_key:me")
            assert {one["owner"] for one in now} == {"virtual_key:me"}
            days = [one for one in now if one["period"] == "day"]
            assert len(days) == 1
            past = await plane.data("/api/v1/budgets", owner="virtual_key:me", past=True)
            assert len([one for one in past if one["period"] == "day"]) == 2
            assert len(await plane.data("/api/v1/budgets", limit=1)) == 1
            for owner in ("virtual_key:m", "team:nobody", "provider:groq", "entry:me/groq", "entry:m/openai"):
                unknown = await plane.get("/api/v1/budgets", owner=owner)
                assert unknown.status_code == 404, f"{owner} is no complete name"
                assert "there is no" in unknown.json()["detail"]
            for owner in ("me", "key:me", "team"):
                assert (await plane.get("/api/v1/budgets", owner=owner)).status_code == 422
            assert await plane.data("/api/v1/budgets", owner="entry:me/openai") == [], (
                "the owner exists and has no limit"
            )
            assert (await plane.get("/api/v1/budgets", limit=0)).status_code == 422
            assert (await plane.get("/api/v1/budgets", whose="me")).status_code == 422

    run(main())


def test_callers_with_a_scope_see_the_limits_of_their_owners_only(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path, config=TWO_TEAMS) as plane:
            plane.write(1)
            await plane.ingest()
            everything = {one["owner"] for one in await plane.data("/api/v1/budgets")}
            assert everything == {"team:other", "team:research", "virtual_key:me", "provider:openai"}
            for given, expected in (
                (("viewer@team:research",), {"team:research", "virtual_key:me"}),
                (("member@virtual_key:me",), {"virtual_key:me"}),
                (("member@virtual_key:me", "viewer@team:other"), {"virtual_key:me", "team:other"}),
                (("member@team:unknown",), set()),
            ):
                caller = await token(plane, " ".join(given), *given)
                found = (await plane.client.get("/api/v1/budgets", headers=caller.headers)).json()
                assert {one["owner"] for one in found} == expected
                foreign = await plane.client.get("/api/v1/budgets?owner=provider:openai", headers=caller.headers)
                unknown = await plane.client.get("/api/v1/budgets?owner=team:nobody", headers=caller.headers)
                assert foreign.json() == unknown.json() == []

    run(main())


def test_long_list_does_not_delay_leases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The list is made on the loop that answers workers."""
    count, turn = 10_000, LongestTurn()

    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            plane.write(1)
            await plane.ingest()
            one = next(one for one in plane.inquiry_handler.parts.lease_table.spent() if one.limit is not None)
            many = [(f"virtual_key:key-{number}|usd|day", one.window) for number in range(count)]
            monkeypatch.setattr(plane.inquiry_handler.parts.lease_table, "names", lambda _owner: many)
            monkeypatch.setattr(
                plane.inquiry_handler.parts.lease_table, "spent_in", lambda name: replace(one, counter=name[0])
            )
            watching = asyncio.create_task(turn.watch())
            await asyncio.sleep(0.01)
            assert len(await plane.data("/api/v1/budgets", limit=count)) == count
            watching.cancel()
        assert turn.longest_s < 0.2 * pace()

    run(main())
