"""GET /api/v1/health, and holds by POST and DELETE."""

import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from fakes.control import TOKEN, ControlPlane, control_plane
from integration.gateway import run

HEADERS = {"authorization": f"Bearer {TOKEN}"}


async def place(plane: ControlPlane, **body: Any) -> httpx.Response:
    return await plane.client.post("/api/v1/health/holds", json=body, headers=HEADERS)


async def release(plane: ControlPlane, name: str) -> httpx.Response:
    return await plane.client.request("DELETE", "/api/v1/health/holds", params={"name": name}, headers=HEADERS)


def test_hold_is_shown_until_its_release(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            await plane.ingest()
            assert await plane.data("/api/v1/health") == {"holds": [], "states": [], "suspecting_workers": 0}
            answer = await place(plane, name="openai/gpt-4o", for_s=3600, reason="maintenance")
            assert answer.status_code == 200, answer.text
            hold = answer.json()
            assert hold["effect"] == "out"
            assert 3500 < hold["until"] - time.time() <= 3600
            assert (await plane.data("/api/v1/health"))["holds"] == [hold]
            assert (await plane.data("/api/v1/status"))["holds"] == [hold]
            assert 'pointsman_holds{effect="out",name="openai/gpt-4o"} 1.0' in (await plane.get("/metrics")).text
            assert (await release(plane, "openai/gpt-4o")).json() == {"released": "openai/gpt-4o"}
            assert (await plane.data("/api/v1/health"))["holds"] == []
            assert (await release(plane, "openai/gpt-4o")).status_code == 404

    run(main())


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"name": "nobody"}, 404, "no provider is named 'nobody'"),
        ({"name": "openai:other"}, 404, "has no key 'other'"),
        ({"name": "openai", "until": 5}, 422, "must be in the future"),
        ({"name": "openai", "until": 4e9, "for_s": 5}, 422, "set either"),
        ({"name": "openai", "for_s": 0}, 422, "for_s"),
        ({"name": "openai", "effect": "away"}, 422, "effect"),
        ({"name": ""}, 422, "name"),
    ],
)
def test_impossible_order_is_rejected(body: dict[str, Any], status: int, message: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            await plane.ingest()
            answer = await place(plane, **body)
            assert answer.status_code == status
            assert message in answer.json()["detail"]

    run(main())


def test_order_fails_while_the_store_is_not_open(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path, is_read=False) as plane:
            answer = await place(plane, name="openai")
            assert answer.status_code == 503
            assert answer.json()["code"] == "store_unavailable"

    run(main())


def test_hold_is_a_verdict_in_the_explanation(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            await plane.ingest()
            await place(plane, name="openai", reason="maintenance")
            question = {"body": {"model": "openai/gpt-4o", "messages": [{"role": "user", "content": "x"}]}}
            answer = await plane.client.post("/api/v1/explain", json=question, headers=HEADERS)
            assert "an operator holds openai out of use until it is released: maintenance" in answer.text
            assert '"held"' in answer.text

    run(main())
