"""GET /api/v1/alerts and /history, and POST /{name}/test."""

from pathlib import Path

from fakes.alerts import alert
from fakes.control import CONFIG, TOKEN, ControlPlane, LocalInquirer, control_plane
from fakes.receiver import receiving
from integration.gateway import run
from pointsman.admin.alerts.runner import AlertRunner
from pointsman.control.store.alerts import AlertQueries, AlertTable

HEADERS = {"authorization": f"Bearer {TOKEN}"}


async def fill(plane: ControlPlane, count: int) -> None:
    assert isinstance(plane.services.control, LocalInquirer)
    store = plane.services.control.inquiry_handler.parts.ingest.store
    assert store is not None
    await AlertTable(store).write([alert(number) for number in range(count)], [], [])


def test_history_has_pages(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            await fill(plane, 5)
            seen = []
            page = await plane.data("/api/v1/alerts/history", limit=2)
            while page:
                seen += [one["id"] for one in page]
                page = await plane.data("/api/v1/alerts/history", limit=2, before=page[-1]["id"])
            assert seen == [f"id-{number}" for number in (4, 3, 2, 1, 0)]
            assert await plane.data("/api/v1/alerts/history", rule="other") == []
            answer = await plane.get("/api/v1/alerts/history", before="id-9")
            assert (answer.status_code, answer.json()["detail"]) == (404, "there is no alert 'id-9'")

    run(main())


def test_gateway_without_alerts_lists_what_the_store_has(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            await fill(plane, 1)
            found = await plane.data("/api/v1/alerts")
            assert [one["id"] for one in found["firing"]] == ["id-0"]
            assert (found["rules"], found["channels"]) == ([], [])
            answer = await plane.client.post("/api/v1/alerts/r/test", headers=HEADERS)
            assert answer.status_code == 404

    run(main())


def test_test_message_reaches_the_channels_of_a_rule(tmp_path: Path) -> None:
    async def main() -> None:
        with receiving() as receiver:
            channel = f"{{type: slack, url: '{receiver.url}/in'}}"
            text = f"{CONFIG}egress: {{allow_private: [127.0.0.0/8]}}\nalerts: {{channels: {{ops: {channel}}}}}\n"
            async with control_plane(tmp_path, config=text) as plane:
                alerts = plane.services.alerts = AlertRunner(
                    plane.services.control, AlertQueries(plane.services.store.rows)
                )
                await alerts._configure()
                answer = await plane.client.post("/api/v1/alerts/budget/test", headers=HEADERS)
                assert answer.json() == {"rule": "budget", "channels": {"ops": ""}}
                assert b"test: a test of the rule budget" in receiver.received[0].body
                receiver.mode = 410
                answer = await plane.client.post("/api/v1/alerts/budget/test", headers=HEADERS)
                assert answer.json()["channels"] == {"ops": "status 410"}
                assert (await plane.client.post("/api/v1/alerts/nobody/test", headers=HEADERS)).status_code == 404
                found = await plane.data("/api/v1/alerts")
                assert "budget" in [one["name"] for one in found["rules"]]
                assert found["channels"][0]["name"] == "ops"
                assert await plane.data("/api/v1/alerts/history") == []
                assert 'pointsman_alert_channel_up{channel="ops"} 1.0' in (await plane.get("/metrics")).text
                alerts.deliveries.statuses["ops"].fail("status 410")
                ready = (await plane.get("/readyz")).json()
                assert ready == {"status": "degraded", "alerts_ops": "status 410"}
                await alerts.deliveries.close()

    run(main())
