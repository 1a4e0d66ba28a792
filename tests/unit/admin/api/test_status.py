"""GET /api/v1/status and POST /api/v1/config/reload."""

import time
from pathlib import Path

from fakes.control import CONFIG, TOKEN, control_plane
from integration.gateway import run


def test_status_covers_workers_store_and_journals(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            plane.write(1)
            await plane.ingest()
            response = await plane.data("/api/v1/status")
            assert response["store"] == "ok"
            assert response["workers"] == []
            assert response["digest"] == plane.inquiry_handler.parts.configuration.digest
            assert (response["records"], response["journal_damage"], response["backlog_bytes"]) == (4, 0, 0)
            page = await plane.get("/metrics")
            assert (response["refused_records"], "pointsman_refused_records 0.0\n" in page.text) == (0, True)
            plane.writer.request(b"no line of a log")
            await plane.ingest()
            assert (await plane.data("/api/v1/status"))["refused_records"] == 1
            assert "pointsman_refused_records 1.0\n" in (await plane.get("/metrics")).text
            assert 0 <= response["caught_up_s"] < 60
            plane.inquiry_handler.parts.ingest.state.problem = "it is gone"
            assert (await plane.data("/api/v1/status"))["store"] == "it is gone"
            plane.inquiry_handler.parts.ingest.state.problem = None

    run(main())


def test_reload_returns_its_result(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            headers = {"authorization": f"Bearer {TOKEN}"}
            before = plane.inquiry_handler.parts.configuration.digest
            (tmp_path / "pointsman.yaml").write_text(CONFIG.replace("limit_usd: 5", "limit_usd: 6"))
            answer = await plane.client.post("/api/v1/config/reload", headers=headers)
            assert answer.status_code == 200
            assert answer.json()["digest"] == plane.inquiry_handler.parts.configuration.digest != before
            plane.write(1, time.time())
            await plane.ingest()
            days = [one for one in await plane.data("/api/v1/budgets") if one["period"] == "day"]
            assert days[0]["limit"] == 6_000_000_000, "the lease table has the new limits"

            (tmp_path / "pointsman.yaml").write_text(CONFIG.replace("limit_usd: 5", "limit_usd: -5"))
            answer = await plane.client.post("/api/v1/config/reload", headers=headers)
            assert answer.status_code == 409
            assert "governance.virtual_keys.me.budgets[0].limit_usd" in answer.json()["detail"]

    run(main())
