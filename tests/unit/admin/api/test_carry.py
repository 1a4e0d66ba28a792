"""POST /api/v1/budgets/carried: spending before this gateway counts once in the present window."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from fakes.control import DAY_COUNTER, TOKEN, ControlPlane, control_plane
from integration.databases import database
from integration.gateway import run

DAY = {"owner": "virtual_key:me", "per": "day", "usd": "4.5"}
MONTH = {"owner": "team:research", "per": "month", "usd": 60}


async def post(plane: ControlPlane, *amounts: dict[str, Any]) -> httpx.Response:
    headers = {"authorization": f"Bearer {TOKEN}"}
    return await plane.client.post("/api/v1/budgets/carried", json={"amounts": list(amounts)}, headers=headers)


async def posted(plane: ControlPlane) -> dict[str, int]:
    return {one["owner"]: one["posted"] for one in await plane.data("/api/v1/budgets") if one["posted"]}


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_amount_counts_once_and_is_there_after_a_restart(kind: str, tmp_path: Path) -> None:
    expected = {"virtual_key:me": 4_500_000_000, "team:research": 60_000_000_000}

    async def check(url: str | None) -> None:
        async with control_plane(tmp_path, url) as plane:
            answer = await post(plane, DAY, MONTH)
            assert (answer.status_code, answer.json()) == (200, {"carried": 2, "refused": []})
            assert await posted(plane) == expected
            again = await post(plane, DAY)
            assert (again.status_code, again.json()["code"]) == (409, "not_carried")
            assert "was carried into this window before" in again.json()["detail"]
            assert await posted(plane) == expected
        async with control_plane(tmp_path, url) as plane:
            assert await posted(plane) == expected
            lease = plane.inquiry_handler.parts.lease_table
            assert [one.posted for one in lease.status() if one.counter == DAY_COUNTER] == [4_500_000_000]

    async def main() -> None:
        if kind == "sqlite":
            await check(None)
        else:
            async with database() as url:
                await check(url)

    run(main())


def test_wrong_amounts_are_rejected_and_the_others_count(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            answer = await post(plane, {**DAY, "per": {"hours": 6}}, {**DAY, "owner": "team:nobody"}, MONTH)
            assert answer.status_code == 409
            assert answer.json()["carried"] == 1
            assert [(one["owner"], one["message"]) for one in answer.json()["refused"]] == [
                ("virtual_key:me", "virtual_key:me has no budget per 6h"),
                ("team:nobody", "team:nobody has no budget per day"),
            ]
            assert await posted(plane) == {"team:research": 60_000_000_000}
            twice = await post(plane, DAY, DAY)
            assert (twice.status_code, "is there twice" in twice.json()["detail"]) == (422, True)
            for wrong in ({**DAY, "usd": -1}, {**DAY, "per": "fortnight"}, {**DAY, "usd": "NaN"}):
                assert (await post(plane, wrong)).status_code == 422

    run(main())
