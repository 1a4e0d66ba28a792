"""POST /api/v1/explain: the decision of control on a request that is not sent."""

from pathlib import Path
from typing import Any

import httpx

from fakes.control import TOKEN, ControlPlane, control_plane
from integration.gateway import run

BODY = {"model": "openai/gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}


async def explained(plane: ControlPlane, **fields: Any) -> httpx.Response:
    headers = {"authorization": f"Bearer {TOKEN}"}
    return await plane.client.post("/api/v1/explain", json={"body": BODY, **fields}, headers=headers)


def test_decision_is_explained_with_the_use_of_limits(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            plane.write(1)
            await plane.ingest()
            found = (await explained(plane, key="me")).json()
            assert [one["provider"] for one in found["attempts"]] == ["openai"]
            used = {one["limit"]: one["used"] for one in found["limits"]}
            assert 70 in used.values(), used
            assert all(one["amount"] for one in found["limits"])

    run(main())


def test_faulty_questions_are_rejected(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            unknown = await explained(plane, key="nobody")
            assert unknown.status_code == 422
            assert "nobody" in unknown.json()["detail"]
            assert (await explained(plane, other=1)).status_code == 422
            assert (await plane.client.post("/api/v1/explain", json={"body": BODY})).status_code == 401

    run(main())
