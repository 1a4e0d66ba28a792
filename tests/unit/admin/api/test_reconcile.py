"""POST /api/v1/reconcile: each attempt once, in the store, in reports and in limits."""

import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from msgspec import Struct

from fakes.control import (
    DAY_COUNTER,
    TOKEN,
    ControlPlane,
    LocalInquirer,
    control_plane,
    request_id,
    scope,
    write_estimated,
)
from integration.databases import database
from integration.gateway import run
from pointsman.admin.listener import REQUEST_S
from pointsman.domain.audit import Actor
from pointsman.link.inquirer import ANSWER_S, Item

NOW = time.time()
ATTEMPT = f"{request_id(1, NOW)}-1"


async def post(plane: ControlPlane, *attempts: dict[str, Any], token: str = TOKEN) -> httpx.Response:
    headers = {"authorization": f"Bearer {token}"}
    return await plane.client.post("/api/v1/reconcile", json={"attempts": list(attempts)}, headers=headers)


def posted(plane: ControlPlane) -> int:
    return sum(one.posted for one in plane.inquiry_handler.parts.lease_table.status() if one.counter == DAY_COUNTER)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_reconciliation_releases_the_held_amount(kind: str, tmp_path: Path) -> None:
    async def check(url: str | None) -> None:
        async with control_plane(tmp_path, url) as plane:
            write_estimated(plane.writer, 1, NOW, scope(), 70, 1000)
            await plane.ingest()
            assert posted(plane) == 1000
            (open_one,) = await plane.data("/api/v1/unsettled")
            assert (open_one["attempt_id"], open_one["source"], open_one["state"]) == (ATTEMPT, "estimated", "open")
            assert (open_one["cost_nano"], open_one["held_nano"]) == (70, 930)
            answer = await post(plane, {"attempt_id": ATTEMPT, "usd": "0.000000050"})
            assert (answer.status_code, answer.json()) == (200, {"taken": [ATTEMPT], "refused": []})
            assert posted(plane) == 50
            again = await post(plane, {"attempt_id": ATTEMPT, "usd": 1})
            assert (again.status_code, again.json()["code"]) == (409, "not_reconciled")
            assert "already reconciled" in again.json()["detail"]
            assert posted(plane) == 50
            assert await plane.data("/api/v1/unsettled") == []
            total = (await plane.data("/api/v1/usage"))["total"]
            assert (total["cost_nano"], total["estimated_nano"], total["held_nano"]) == (50, 0, 0)
            response = await plane.data(f"/api/v1/requests/{request_id(1, NOW)}")
            assert (response["cost_nano"], response["attempts"][0]["usage_source"]) == (50, "reconciled")
            assert response["attempts"][0]["attempt_id"] == ATTEMPT

    async def main() -> None:
        if kind == "sqlite":
            await check(None)
        else:
            async with database() as url:
                await check(url)

    run(main())


def test_reconciliation_waits_for_a_running_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the caller would get an error although control charges the attempts."""
    waited: dict[str, float] = {}
    original = LocalInquirer.ask_for

    async def ask_for(
        self: LocalInquirer, actor: Actor, inquiry: Struct, item: type[Item], within_s: float = ANSWER_S
    ) -> list[Item]:
        waited[type(inquiry).__name__] = within_s
        return await original(self, actor, inquiry, item, within_s)

    async def main() -> None:
        monkeypatch.setattr(LocalInquirer, "ask_for", ask_for)
        async with control_plane(tmp_path) as plane:
            await post(plane, {"attempt_id": "nobody-1", "usd": "1"})
            assert waited["StateInquiry"] == ANSWER_S < waited["Reconcile"] < REQUEST_S

    run(main())


def test_accepted_attempts_are_charged_although_others_are_rejected(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            write_estimated(plane.writer, 1, NOW, scope(), 70, 1000)
            await plane.ingest()
            answer = await post(plane, {"attempt_id": ATTEMPT, "usd": "0"}, {"attempt_id": "nobody-1", "usd": "1"})
            error = answer.json()
            assert (answer.status_code, error["taken"]) == (409, [ATTEMPT])
            assert [one["attempt_id"] for one in error["refused"]] == ["nobody-1"]
            assert posted(plane) == 0

    run(main())


@pytest.mark.parametrize(
    "attempts",
    [
        [],
        [{"attempt_id": "a-1", "usd": "-1"}],
        [{"attempt_id": "a-1", "usd": "nan"}],
        [{"attempt_id": "a-1", "usd": "1e40"}],
        [{"attempt_id": "a-1", "usd": "much"}],
        [{"attempt_id": "", "usd": "1"}],
        [{"attempt_id": "a-1", "usd": "1", "nano": 5}],
        [{"attempt_id": "a-1", "usd": "1"}, {"attempt_id": "a-1", "usd": "2"}],
    ],
)
def test_invalid_attempts_are_rejected(attempts: list[dict[str, Any]], tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            assert (await post(plane, *attempts)).status_code == 422
            assert (await post(plane, token="wrong" * 5)).status_code in (401, 422)

    run(main())
