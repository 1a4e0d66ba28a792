"""Statements are exact, survive the deletion of requests, and follow reconciliations."""

import csv
import io
import time
from datetime import UTC, datetime
from pathlib import Path

from fakes.access import token
from fakes.control import ControlPlane, control_plane, request_id, scope, write_estimated
from integration.gateway import run
from pointsman.control.audit_log import AuditedCall

OCTOBER, NOVEMBER = (datetime(2025, month, 1, tzinfo=UTC).timestamp() for month in (10, 11))


def fill(plane: ControlPlane) -> None:
    """Write requests of two customers around the borders of a month."""
    acme, other = scope(1), scope(2, customer=None, team="other", virtual_key="you", model="gpt-4o-mini")
    for number, (at, of, nano) in enumerate(
        (
            (OCTOBER - 1.0, acme, 1),
            (OCTOBER, acme, 10),
            (OCTOBER + 86_400 * 3, acme, 20),
            (NOVEMBER - 1.0, other, 300),
            (NOVEMBER, acme, 4000),
        ),
        1,
    ):
        plane.write(number, at, of, nano=nano, team=of.team)


def test_month_has_exactly_its_own_spending(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            fill(plane)
            await plane.ingest()
            found = await plane.data("/api/v1/statements", month="2025-10")
            assert (found["total"]["cost_nano"], found["total"]["attempts"], found["final"]) == (330, 3, True)
            assert {(one["customer"], one["cost_nano"]) for one in found["customers"]} == {("acme", 30), ("", 300)}
            assert [(one["team"], one["cost_usd"]) for one in found["teams"]] == [
                ("other", "0.000000300"),
                ("research", "0.000000030"),
            ]
            assert (await plane.data("/api/v1/statements", month="2025-10", customer="acme"))["total"][
                "cost_nano"
            ] == 30
            assert (await plane.data("/api/v1/statements", month="2025-12"))["total"]["cost_nano"] == 0
            assert (await plane.get("/api/v1/statements", month="2025-13")).status_code == 422
            assert (await plane.get("/api/v1/statements", month="0000-01")).status_code == 422

    run(main())


def test_statement_survives_the_deletion_of_requests(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            fill(plane)
            await plane.ingest()
            before = await plane.data("/api/v1/statements", month="2025-10")
            store = plane.inquiry_handler.parts.ingest.store
            assert store is not None
            while await store.prune(time.time() + 1):
                pass
            assert await plane.data("/api/v1/statements", month="2025-10") == before

    run(main())


def test_estimate_is_not_final_until_it_is_reconciled(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            at = time.time()
            month = datetime.fromtimestamp(at, UTC).strftime("%Y-%m")
            write_estimated(plane.writer, 1, at, scope(), 70_000, 1_000_000)
            await plane.ingest()
            assert not (await plane.data("/api/v1/statements", month=month))["final"]
            parts = plane.inquiry_handler.parts
            call = AuditedCall(parts.audit)
            assert await parts.ingest.reconcile({f"{request_id(1, at)}-1": 500_000}, call) == {}
            found = await plane.data("/api/v1/statements", month=month)
            assert (found["total"]["cost_nano"], found["rows"][0]["estimated_nano"]) == (500_000, 0)

    run(main())


def test_csv_and_focus_have_the_same_total(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            fill(plane)
            await plane.ingest()
            for form, column, count in (("csv", "cost_usd", 2), ("focus", "BilledCost", 3)):
                text = (await plane.get("/api/v1/statements", month="2025-10", format=form)).text
                rows = list(csv.DictReader(io.StringIO(text)))
                assert len(rows) == count, text
                assert round(sum(float(row[column]) for row in rows) * 1e9) == 330

    run(main())


def test_callers_see_the_statements_of_their_owners(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            fill(plane)
            await plane.ingest()
            by = await token(plane, "lead", "viewer@team:research")
            answer = await plane.client.get("/api/v1/statements?month=2025-10", headers=by.headers)
            assert answer.json()["total"]["cost_nano"] == 30

    run(main())
