"""The console's application: host names, headers, errors and metrics."""

from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path

import pytest

from fakes.control import TOKEN, control_plane
from fakes.metrics import samples
from integration.gateway import run
from pointsman.admin.auth import AdminToken
from pointsman.control.store.database import store_url
from pointsman.control.store.reports import Reports

SCRAPE = "a-token-for-prometheus-alone"


def test_console_is_served_with_security_headers(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            for path, kind in (
                ("/", "text/html"),
                ("/console.js", "text/javascript"),
                ("/console.css", "text/css"),
                ("/icon.svg", "image/svg+xml"),
            ):
                answer = await plane.get(path, token=None)
                assert answer.status_code == 200
                assert answer.headers["content-type"].startswith(kind)
                assert answer.headers["content-security-policy"].startswith("default-src 'self'")
                assert answer.headers["x-content-type-options"] == "nosniff"
                plain = await plane.client.get(path, headers={"accept-encoding": "identity"})
                assert plain.content == answer.content
                assert [one.headers.get("content-encoding") for one in (answer, plain)] == ["gzip", None]
            assert (await plane.get("/index.html", token=None)).status_code == 404
            assert (await plane.get("/..%2fapp.py", token=None)).status_code == 404

    run(main())


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8081", 200), ("localhost", 200), ("[::1]:8081", 200), ("[::1]", 200), ("::1", 421),
        ("evil.example", 421), ("evil.example:8081", 421), ("127.0.0.1.evil.example", 421), ("", 421),
    ],
)  # fmt: skip
def test_loopback_listener_accepts_only_loopback_names(host: str, status: int, tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path, hosts=frozenset({"127.0.0.1", "localhost", "::1"})) as plane:
            assert (await plane.client.get("/healthz", headers={"host": host})).status_code == status

    run(main())


def test_errors_have_one_shape(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            for method, path, status, code in (
                ("GET", "/api/v1/nothing", 404, "not_found"),
                ("GET", "/nothing", 404, "not_found"),
                ("POST", "/v1/chat/completions", 404, "not_found"),
                ("POST", "/metrics", 405, "method_not_allowed"),
                ("DELETE", "/api/v1/usage", 405, "method_not_allowed"),
                ("GET", "/api/v1/usage?nonsense=1", 422, "invalid_request"),
            ):
                answer = await plane.client.request(method, path, headers={"authorization": f"Bearer {TOKEN}"})
                assert answer.status_code == status, path
                assert answer.json()["code"] == code
                assert answer.json()["detail"]
            for length in (str(2**20 + 1), "-1", "1e3"):
                large = await plane.client.post("/api/v1/config/reload", headers={"content-length": length})
                assert large.status_code == 413

    run(main())


def test_unavailable_store_is_reported_and_health_stays_ok(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            assert (await plane.get("/readyz", token=None)).json() == {"status": "ok"}
            plane.inquiry_handler.parts.ingest.state.problem = "OperationalError: it is gone"
            plane.services.store = Reports.of(store_url(None, tmp_path / "elsewhere"))
            answer = await plane.get("/api/v1/usage")
            assert answer.status_code == 503
            assert answer.json()["code"] == "store_unavailable"
            assert "unable to open database file" in answer.text
            assert (await plane.get("/healthz", token=None)).status_code == 200
            degraded = await plane.get("/readyz", token=None)
            assert degraded.json() == {"status": "degraded", "store": "OperationalError: it is gone"}

    run(main())


def test_readiness_reports_damage_quarantine_and_rejected_configuration(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            state = plane.inquiry_handler.parts.ingest.state
            state.damage, state.rejected = 2, 3
            response = (await plane.get("/readyz", token=None)).json()
            assert response["journal"] == "2 damaged places were skipped since the start"
            assert response["refused"] == "3 records are quarantined in quarantine.jsonl"
            state.damage = state.rejected = 0
            assert (await plane.get("/readyz", token=None)).json() == {"status": "ok"}

    run(main())


def test_metrics_cover_store_journals_and_limits(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            plane.write(1)
            await plane.ingest()
            page = await plane.get("/metrics", token=None)
            assert page.headers["content-type"].startswith("text/plain; version=0.0.4")
            assert "\npointsman_store_up 1.0\n" in page.text
            assert "\npointsman_ingest_backlog_bytes 0.0\n" in page.text
            found = samples(page.text)
            budget = '{owner="me",period="day",scope="virtual_key"}'
            assert found[f"pointsman_budget_spent_dollars{budget}"] > 0
            total = (
                found[f"pointsman_budget_spent_dollars{budget}"] + found[f"pointsman_budget_remaining_dollars{budget}"]
            )
            assert total == pytest.approx(found[f"pointsman_budget_limit_dollars{budget}"])
            assert found["pointsman_config_last_reload_successful"] == 1
            assert any(name.startswith("pointsman_build_info{") for name in found)

    run(main())


def test_metrics_on_a_public_address_need_a_token(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            plane.services.metrics_are_open = False
            assert (await plane.get("/metrics", token=None)).status_code == 401
            assert (await plane.get("/metrics", token=SCRAPE)).status_code == 401
            assert (await plane.get("/metrics")).status_code == 200, "the admin token opens everything"
            plane.services.metrics_token = AdminToken(sha256(SCRAPE.encode()).digest())
            assert (await plane.get("/metrics", token=SCRAPE)).status_code == 200
            assert (await plane.get("/metrics", token="")).status_code == 401
            assert (await plane.get("/api/v1/usage", token=SCRAPE)).status_code == 401, (
                "the metrics token opens nothing else"
            )

    run(main())


@pytest.mark.parametrize("path", ["/api/v1/reconcile", "/api/v1/config/reload"])
def test_body_of_unknown_length_is_rejected_before_reading(path: str, tmp_path: Path) -> None:
    """The framework would read the body, of any size, before the token is checked."""

    async def main() -> None:
        read: list[int] = []

        async def body() -> AsyncIterator[bytes]:
            for number in range(3):
                read.append(number)
                yield b" " * 2**20

        async with control_plane(tmp_path) as plane:
            answer = await plane.client.post(path, content=body())
            assert (answer.status_code, answer.json()["code"]) == (411, "length_required")
            assert not read

    run(main())
